//! What must be installed on the machine, and installing it from Debian's packages where that is
//! allowed. Nothing that a package brings is left running: a stack starts its own servers.

use std::path::Path;
use std::process::{Command, Stdio};

use nix::unistd::Uid;

use crate::error::{Result, XtaskError};
use crate::process::run;
use crate::tools::{self, Node};

/// A thing the machine must have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Need {
    Redis,
    Postgres,
    Node,
    CCompiler,
    Python,
    Strace,
    FakeTime,
}

/// Everything that the test suite cannot do without.
pub const ALL: [Need; 5] = [Need::Redis, Need::Postgres, Need::Node, Need::CCompiler, Need::Python];
/// What single tests are left out without.
pub const FAULTS: [Need; 2] = [Need::Strace, Need::FakeTime];

impl Need {
    fn is_met(self) -> bool {
        match self {
            Need::Redis => tools::redis_server().is_some(),
            Need::Postgres => tools::postgres(None).is_some(),
            Need::Node => tools::node() != Node::Missing,
            Need::CCompiler => tools::c_compiler().is_some(),
            Need::Python => tools::python().is_some(),
            Need::Strace => tools::on_path("strace").is_some(),
            Need::FakeTime => tools::libfaketime().is_some(),
        }
    }

    /// Debian packages that meet it.
    fn packages(self) -> &'static [&'static str] {
        match self {
            Need::Redis => &["redis-server"],
            Need::Postgres => &["postgresql"],
            Need::Node => &["nodejs", "npm"],
            Need::CCompiler => &["gcc", "libc6-dev"],
            Need::Python => &["python3", "python3-venv"],
            Need::Strace => &["strace"],
            Need::FakeTime => &["libfaketime"],
        }
    }

    fn why(self) -> &'static str {
        match self {
            Need::Redis => "Redis 7 or newer carries the order and event queues",
            Need::Postgres => "PostgreSQL 14 or newer keeps accounts, trades and klines",
            Need::Node => "Node.js builds the web client",
            Need::CCompiler => "a C compiler builds the memory allocator and links the binaries",
            Need::Python => "Python 3.11 or newer runs clients of others against the exchange",
            Need::Strace => "strace lets a disk fail in tests",
            Need::FakeTime => "libfaketime lets a clock jump in tests",
        }
    }
}

/// Installs what is missing, or says what is. Errors: it is not there in the end.
pub fn ensure(needs: &[Need]) -> Result<()> {
    let missing: Vec<Need> = needs.iter().copied().filter(|need| !need.is_met()).collect();
    if !missing.is_empty() {
        say_missing(&missing);
        install(&missing)?;
        let still: Vec<Need> = missing.into_iter().filter(|need| !need.is_met()).collect();
        if !still.is_empty() {
            let text = names(&still);
            let note = "apt-get has nothing new enough for this exchange";
            return Err(XtaskError::Unable(format!("still missing: {text}; {note}")));
        }
    }
    if needs.contains(&Need::Node)
        && let Node::TooOld(version) = tools::node()
    {
        println!(
            "Node.js {version} is too old to build the web client ({} is needed); npm fetches a \
             newer one for that alone",
            tools::node_min()
        );
    }
    Ok(())
}

/// Installs what is missing where that is possible; says what then cannot be tested.
pub fn wish(needs: &[Need]) {
    if let Err(error) = ensure(needs) {
        println!("{}; the tests that need it are left out", error.in_full());
    }
}

fn say_missing(missing: &[Need]) {
    println!("missing on this machine:");
    for need in missing {
        println!("  {:<24} {}", need.packages().join(" "), need.why());
    }
}

fn names(needs: &[Need]) -> String {
    let packages: Vec<&str> = needs.iter().flat_map(|need| need.packages()).copied().collect();
    packages.join(" ")
}

fn install(missing: &[Need]) -> Result<()> {
    let packages = names(missing);
    let by_hand =
        || XtaskError::Unable(format!("install the packages by hand: apt-get install {packages}"));
    if tools::on_path("apt-get").is_none() {
        return Err(by_hand());
    }
    let mut command = if Uid::effective().is_root() {
        Command::new("sh")
    } else if may_sudo() {
        let mut command = Command::new("sudo");
        command.args(["-n", "sh"]);
        command
    } else {
        println!("neither root nor allowed to use sudo without a password");
        return Err(by_hand());
    };
    println!("installing with apt-get: {packages}");
    command.arg("-c").arg(INSTALL).arg("install").args(packages.split(' '));
    run(command.stdin(Stdio::null())).map_err(|error| match error {
        XtaskError::Command { outcome, .. } => {
            XtaskError::Unable(format!("apt-get install {packages} {outcome}"))
        }
        other => other,
    })
}

fn may_sudo() -> bool {
    let Some(sudo) = tools::on_path("sudo") else { return false };
    let mut command = Command::new(sudo);
    command.args(["-n", "true"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// Debian starts what it installs and makes a first database cluster; both are forbidden while
/// apt-get runs, and what was there before is put back afterwards. Services that came with the
/// packages are also kept from starting at the next boot.
const INSTALL: &str = r#"
set -u
export DEBIAN_FRONTEND=noninteractive
policy=/usr/sbin/policy-rc.d
clusters=/etc/postgresql-common/createcluster.d
restore() {
    rm -f "$policy" "$clusters/crypto-exchange.conf"
    rmdir "$clusters" 2>/dev/null
    if [ -e "$policy.before-xtask" ]; then mv "$policy.before-xtask" "$policy"; fi
}
trap restore EXIT
trap 'exit 130' INT TERM HUP
if [ -e "$policy" ] && [ ! -e "$policy.before-xtask" ]; then
    mv "$policy" "$policy.before-xtask" || exit 1
fi
printf '#!/bin/sh\nexit 101\n' > "$policy" && chmod 755 "$policy" || exit 1
mkdir -p "$clusters" || exit 1
echo 'create_main_cluster = false' > "$clusters/crypto-exchange.conf" || exit 1
apt-get update || echo 'apt-get update failed; trying with the lists at hand' >&2
apt-get install -y --no-install-recommends "$@" || exit 1
if command -v systemctl >/dev/null 2>&1; then
    for package in "$@"; do
        case "$package" in
        redis-server|postgresql) systemctl disable "$package.service" >/dev/null 2>&1 ;;
        esac
    done
fi
exit 0
"#;

/// Whether the folder holds the web client's sources.
pub fn has_web_client(root: &Path) -> bool {
    root.join("web").join("package.json").exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_not_installed_again() {
        // The tests themselves were linked by one.
        ensure(&[Need::CCompiler]).unwrap();
    }

    #[test]
    fn packages_of_several_needs_are_named_together() {
        assert_eq!(names(&[Need::Redis, Need::Node]), "redis-server nodejs npm");
    }

    #[test]
    fn the_install_script_is_sound_shell() {
        let mut command = Command::new("sh");
        run(command.args(["-n", "-c", INSTALL])).unwrap();
    }
}
