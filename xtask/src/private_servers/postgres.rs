//! A private PostgreSQL: one superuser with a generated password, one database, no socket file.
//!
//! PostgreSQL refuses to run as root; started by root it runs as the user `postgres`, which must be
//! able to reach its data. A cluster is made under another name and renamed when it is complete, so
//! a half-made one is never mistaken for data.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::unistd::{Uid, User};

use crate::error::{Doing, Result, XtaskError};
use crate::places::{Places, read_if_there, remove, write_private};
use crate::process::{self, ProcessSpec, StopBy, UserIds};
use crate::readiness::Probe;
use crate::secrets;
use crate::tools::{self, PostgresBinaries};

pub const NAME: &str = "postgres";
/// Both the superuser and the database are called so.
const EXCHANGE: &str = "exchange";
const OS_USER: &str = "postgres";

#[derive(Clone, Debug)]
pub struct PrivatePostgres {
    pub spec: ProcessSpec,
    pub url: String,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Durability {
    /// What is committed survives a power cut.
    Durable,
    /// For tests: survives `kill -9`, not a power cut.
    Fast,
}

impl PrivatePostgres {
    /// Makes the cluster when there is none yet; starts nothing.
    pub fn prepare(places: &Places, port: u16, durability: Durability) -> Result<PrivatePostgres> {
        let cluster = Cluster::locate(places)?;
        if !cluster.data.join("PG_VERSION").exists() {
            cluster.create(places, durability)?;
        }
        let password = read_if_there(&places.postgres_password())?.ok_or_else(|| {
            let file = places.postgres_password();
            XtaskError::Unable(format!(
                "{} is gone but its database is there; restore it, or start with --fresh",
                file.display()
            ))
        })?;
        Ok(PrivatePostgres {
            spec: cluster.spec(places, port, durability),
            url: format!("postgres://{EXCHANGE}:{}@127.0.0.1:{port}/{EXCHANGE}", password.trim()),
        })
    }
}

/// Removes a cluster, also when the stack's folder only holds a link to it.
pub fn remove_data(places: &Places) -> Result<()> {
    let data = places.postgres_data();
    if let Ok(target) = fs::read_link(&data) {
        remove(&target)?;
        if let Some(folder) = target.parent().filter(|folder| folder.starts_with("/var/tmp")) {
            fs::remove_dir(folder).doing(format!("remove {}", folder.display()))?;
        }
    }
    remove(&data)?;
    remove(&places.postgres_password())
}

struct Cluster {
    binaries: PostgresBinaries,
    /// Where the data really is.
    data: PathBuf,
    user: Option<UserIds>,
}

impl Cluster {
    fn locate(places: &Places) -> Result<Cluster> {
        let user = os_user()?;
        let data = match user {
            Some(user) => reachable_data(places, user)?,
            None => places.postgres_data(),
        };
        let version = read_if_there_as_owner(&data.join("PG_VERSION"))?;
        let major = version.as_deref().and_then(|text| text.trim().parse().ok());
        let binaries = tools::postgres(major).ok_or_else(|| {
            XtaskError::Unable(match major {
                Some(major) => format!(
                    "{} holds data of PostgreSQL {major}, whose server is not installed; install \
                     it or start with --fresh",
                    data.display()
                ),
                None => "the server of PostgreSQL 14 or newer is not installed".to_owned(),
            })
        })?;
        Ok(Cluster { binaries, data, user })
    }

    fn create(&self, places: &Places, durability: Durability) -> Result<()> {
        let draft = self.data.with_extension("draft");
        remove(&draft)?;
        // An empty folder, or what somebody put there by hand: then the rename below refuses.
        if fs::read_dir(&self.data).is_ok_and(|mut entries| entries.next().is_none()) {
            remove(&self.data)?;
        }
        fs::create_dir(&draft).doing(format!("make {}", draft.display()))?;
        fs::set_permissions(&draft, Permissions::from_mode(0o700))
            .doing("close the new cluster")?;
        self.own(&draft)?;

        let password = secrets::random_text()?;
        write_private(&places.postgres_password(), password.as_bytes())?;
        let for_initdb = self.data.with_extension("password");
        write_private(&for_initdb, password.as_bytes())?;
        self.own(&for_initdb)?;
        let made = self
            .initdb(&draft, &for_initdb, durability)
            .and_then(|()| self.create_database(&draft));
        remove(&for_initdb)?;
        made?;
        fs::rename(&draft, &self.data).doing(format!("move the new cluster to {NAME}"))
    }

    fn initdb(&self, data: &Path, password_file: &Path, durability: Durability) -> Result<()> {
        let mut command = self.command("initdb", data);
        command.arg("-D").arg(data).arg(format!("--username={EXCHANGE}"));
        command.arg(format!("--pwfile={}", password_file.display()));
        command.args(["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C"]);
        command.arg("--no-instructions");
        if durability == Durability::Fast {
            command.arg("--no-sync");
        }
        process::output(&mut command).map(|_| ())
    }

    /// In single-user mode, so that the server is never up without its database.
    fn create_database(&self, data: &Path) -> Result<()> {
        let mut command = self.command("postgres", data);
        command.arg("--single").arg("-D").arg(data).arg("postgres");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().doing("start PostgreSQL in single-user mode")?;
        if let Some(mut input) = child.stdin.take() {
            let statement = format!("CREATE DATABASE {EXCHANGE};\n");
            input.write_all(statement.as_bytes()).doing("hand PostgreSQL a statement")?;
        }
        let done = child.wait_with_output().doing("wait for PostgreSQL")?;
        let said = String::from_utf8_lossy(&done.stderr);
        // Single-user mode ends with 0 also when the statement failed.
        if done.status.success() && !said.contains("ERROR:") {
            return Ok(());
        }
        Err(XtaskError::Command {
            command: "postgres --single".to_owned(),
            outcome: format!("failed ({}): {}", done.status, said.trim()),
        })
    }

    fn spec(&self, places: &Places, port: u16, durability: Durability) -> ProcessSpec {
        let mut args = vec!["-D".to_owned(), self.data.display().to_string()];
        let port_setting = format!("port={port}");
        let mut settings = vec![
            "listen_addresses=127.0.0.1",
            port_setting.as_str(),
            "unix_socket_directories=",
            "timezone=UTC",
            "log_timezone=UTC",
        ];
        if durability == Durability::Fast {
            settings.extend(["fsync=off", "shared_buffers=32MB"]);
        }
        for setting in settings {
            args.extend(["-c".to_owned(), setting.to_owned()]);
        }
        ProcessSpec {
            name: NAME.to_owned(),
            program: self.binaries.program("postgres"),
            args,
            env: BTreeMap::new(),
            cwd: self.data.clone(),
            user: self.user,
            log: places.log(NAME),
            ready: Probe::Postgres { pg_isready: self.binaries.program("pg_isready"), port },
            stop_by: StopBy::Interrupt,
            ops_url: None,
        }
    }

    fn command(&self, program: &str, cwd: &Path) -> Command {
        let mut command = Command::new(self.binaries.program(program));
        command.current_dir(cwd).env("LC_ALL", "C").stdin(Stdio::null());
        if let Some(user) = self.user {
            command.uid(user.uid).gid(user.gid);
        }
        command
    }

    fn own(&self, path: &Path) -> Result<()> {
        match self.user {
            None => Ok(()),
            Some(user) => chown(path, Some(user.uid), Some(user.gid))
                .doing(format!("give {} to user {OS_USER}", path.display())),
        }
    }
}

/// Whom the server runs as: ourselves, or for root the user that Debian's package made for it.
fn os_user() -> Result<Option<UserIds>> {
    if !Uid::effective().is_root() {
        return Ok(None);
    }
    let found = User::from_name(OS_USER).map_err(std::io::Error::from);
    match found.doing(format!("look up user {OS_USER}"))? {
        Some(user) => Ok(Some(UserIds { uid: user.uid.as_raw(), gid: user.gid.as_raw() })),
        None => Err(XtaskError::Unable(format!(
            "PostgreSQL refuses to run as root and there is no user `{OS_USER}`; make one with \
             `useradd --system {OS_USER}`"
        ))),
    }
}

/// As `read_if_there`; a file of another user says so instead of looking like none.
fn read_if_there_as_owner(path: &Path) -> Result<Option<String>> {
    read_if_there(path).map_err(|error| match error {
        XtaskError::Io { cause, .. } if cause.kind() == std::io::ErrorKind::PermissionDenied => {
            XtaskError::Unable(format!(
                "{} belongs to another user: was the stack last started by root? Use the same \
                 user, or remove the data as that user",
                path.display()
            ))
        }
        other => other,
    })
}

/// `var/postgres` where the server's user can get there; otherwise a folder in /var/tmp, with a
/// link to it from `var/postgres`.
fn reachable_data(places: &Places, user: UserIds) -> Result<PathBuf> {
    let data = places.postgres_data();
    if let Ok(target) = fs::read_link(&data) {
        check_outside(&target, user)?;
        return Ok(target);
    }
    let closed = data.ancestors().skip(1).find(|folder| !lets_through(folder, user));
    let Some(closed) = closed else { return give_away_old(data, user) };
    let outside = PathBuf::from(format!("/var/tmp/crypto-exchange-{:016x}", fingerprint(&data)));
    println!(
        "{} is closed to user {OS_USER}, as whom PostgreSQL runs: its data goes to {}",
        closed.display(),
        outside.display()
    );
    if let Err(cause) = fs::create_dir(&outside)
        && cause.kind() != std::io::ErrorKind::AlreadyExists
    {
        return Err(cause).doing(format!("make {}", outside.display()));
    }
    check_owner(&outside, 0)?;
    let target = outside.join(NAME);
    check_outside(&target, user)?;
    symlink(&target, &data).doing(format!("link {} to {}", data.display(), target.display()))?;
    Ok(target)
}

/// Data made by root's own hand, or before this user's number changed, becomes the server's.
fn give_away_old(data: PathBuf, user: UserIds) -> Result<PathBuf> {
    let Ok(found) = fs::metadata(&data) else { return Ok(data) };
    if found.uid() != user.uid {
        let mut command = Command::new("chown");
        command.args(["-R", &format!("{}:{}", user.uid, user.gid)]).arg(&data);
        process::output(&mut command)?;
    }
    Ok(data)
}

/// /var/tmp is open to everybody: what lies there must be root's and the server's alone.
fn check_outside(target: &Path, user: UserIds) -> Result<()> {
    if let Some(parent) = target.parent().filter(|parent| parent.starts_with("/var/tmp")) {
        check_owner(parent, 0)?;
    }
    if target.exists() { check_owner(target, user.uid) } else { Ok(()) }
}

fn check_owner(path: &Path, uid: u32) -> Result<()> {
    let found = fs::symlink_metadata(path).doing(format!("look at {}", path.display()))?;
    if found.is_dir() && found.uid() == uid {
        return Ok(());
    }
    let path = path.display();
    Err(XtaskError::Unable(format!("{path} is not a folder of user {uid}; remove it and retry")))
}

fn lets_through(folder: &Path, user: UserIds) -> bool {
    let Ok(found) = fs::metadata(folder) else { return false };
    let bit = match (found.uid() == user.uid, found.gid() == user.gid) {
        (true, _) => 0o100,
        (false, true) => 0o010,
        (false, false) => 0o001,
    };
    found.mode() & bit != 0
}

/// FNV-1a, so that each clone has a folder of its own.
fn fingerprint(path: &Path) -> u64 {
    let bytes = path.as_os_str().as_encoded_bytes();
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    #[test]
    fn a_folder_closed_to_others_lets_nobody_but_its_owner_through() {
        let scratch = Scratch::new("postgres").unwrap();
        let folder = scratch.path();
        let owner = fs::metadata(folder).unwrap();
        let stranger = UserIds { uid: owner.uid() + 1, gid: owner.gid() + 1 };
        fs::set_permissions(folder, Permissions::from_mode(0o700)).unwrap();
        assert!(!lets_through(folder, stranger));
        assert!(lets_through(folder, UserIds { uid: owner.uid(), gid: owner.gid() }));
        fs::set_permissions(folder, Permissions::from_mode(0o711)).unwrap();
        assert!(lets_through(folder, stranger));
    }

    #[test]
    fn two_clones_have_two_fingerprints() {
        let (one, other) = (Path::new("/a/var/postgres"), Path::new("/b/var/postgres"));
        assert_ne!(fingerprint(one), fingerprint(other));
    }
}
