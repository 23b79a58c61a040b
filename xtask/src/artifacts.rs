//! Builds what a stack runs: the five binaries and the web client, each only when it has to be.

use std::collections::BTreeMap;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::error::{Doing, Result, XtaskError};
use crate::places::read_if_there;
use crate::process::{output, run};
use crate::services;
use crate::setup::has_web_client;
use crate::tools::{self, Node};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Profile {
    Debug,
    Release,
}

/// The clone this xtask was built from.
pub fn repository_root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}

/// The cargo that runs us, or the one in PATH.
pub fn cargo(root: &Path) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root);
    command
}

/// Builds the services; answers the folder they are in.
pub fn build_services(root: &Path, profile: Profile) -> Result<PathBuf> {
    let mut command = cargo(root);
    command.arg("build");
    if profile == Profile::Release {
        command.arg("--release");
    }
    for package in services::ALL {
        command.args(["-p", package]);
    }
    run(&mut command)?;
    let folder = match profile {
        Profile::Debug => "debug",
        Profile::Release => "release",
    };
    Ok(target_dir(root)?.join(folder))
}

fn target_dir(root: &Path) -> Result<PathBuf> {
    let mut command = cargo(root);
    let text = output(command.args(["metadata", "--no-deps", "--format-version", "1"]))?;
    let what = "the output of cargo metadata".to_owned();
    let metadata: Value =
        serde_json::from_str(&text).map_err(|cause| XtaskError::Json { what, cause })?;
    let folder = metadata.get("target_directory").and_then(Value::as_str);
    folder
        .map(PathBuf::from)
        .ok_or_else(|| XtaskError::Unable("cargo metadata names no target directory".to_owned()))
}

/// Where the debug binaries lie that were built together with the test that asks.
pub fn beside_this_test() -> Result<PathBuf> {
    // …/target/debug/deps/<test>
    let test = std::env::current_exe().doing("find the running test")?;
    let folder = test.parent().and_then(Path::parent).map(Path::to_path_buf);
    folder.ok_or_else(|| XtaskError::Unable(format!("{} is in no folder", test.display())))
}

/// Builds the web client when its sources have changed; answers where it is, `None` when this
/// clone has none.
pub fn build_web(root: &Path) -> Result<Option<PathBuf>> {
    if !has_web_client(root) {
        return Ok(None);
    }
    let web = root.join("web");
    install_web_packages(root)?;
    let dist = web.join("dist");
    let stamp = dist.join(".built-from");
    let inputs = fingerprint(&web)?;
    if read_if_there(&stamp)?.as_deref() != Some(inputs.as_str()) {
        run(npm(&web).args(["run", "build"]))?;
        fs::write(&stamp, inputs).doing(format!("write {}", stamp.display()))?;
    }
    Ok(Some(dist))
}

/// `npm ci`, unless just these packages are installed already.
pub fn install_web_packages(root: &Path) -> Result<()> {
    let web = root.join("web");
    let lock = web.join("package-lock.json");
    let wanted = fs::read_to_string(&lock).doing(format!("read {}", lock.display()))?;
    let mut hash = DefaultHasher::new();
    wanted.hash(&mut hash);
    let wanted = format!("{:016x}", hash.finish());
    let stamp = web.join("node_modules").join(".installed-from");
    if read_if_there(&stamp)?.as_deref() == Some(wanted.as_str()) {
        return Ok(());
    }
    run(npm(&web).args(["ci", "--no-audit", "--no-fund"]))?;
    fs::write(&stamp, wanted).doing(format!("write {}", stamp.display()))
}

/// npm, under the machine's Node where that is new enough, else under one from npm's registry.
pub fn npm(web: &Path) -> Command {
    let mut command = Command::new("npm");
    command.current_dir(web);
    if let Node::TooOld(_) = tools::node() {
        command.args(["exec", "--yes", "--package=node@22", "--package=npm@10", "--", "npm"]);
    }
    command
}

/// A number that changes when any source of the web client does.
fn fingerprint(web: &Path) -> Result<String> {
    let mut contents = BTreeMap::new();
    collect(web, &mut contents)?;
    let mut hash = DefaultHasher::new();
    contents.hash(&mut hash);
    Ok(format!("{:016x}", hash.finish()))
}

fn collect(folder: &Path, contents: &mut BTreeMap<PathBuf, Vec<u8>>) -> Result<()> {
    let entries = fs::read_dir(folder).doing(format!("read {}", folder.display()))?;
    for entry in entries {
        let path = entry.doing(format!("read {}", folder.display()))?.path();
        let made = ["node_modules", "dist"].iter().any(|name| path.ends_with(name))
            || path.extension().is_some_and(|suffix| suffix == "tsbuildinfo");
        if made {
            continue;
        }
        if path.is_dir() {
            collect(&path, contents)?;
        } else {
            let bytes = fs::read(&path).doing(format!("read {}", path.display()))?;
            contents.insert(path, bytes);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    #[test]
    fn the_fingerprint_follows_sources_and_nothing_that_is_made_from_them() {
        let scratch = Scratch::new("artifacts").unwrap();
        let web = scratch.path();
        for folder in ["src", "dist", "node_modules"] {
            fs::create_dir(web.join(folder)).unwrap();
        }
        fs::write(web.join("src/main.ts"), "one").unwrap();
        let first = fingerprint(web).unwrap();
        fs::write(web.join("dist/main.js"), "made").unwrap();
        fs::write(web.join("node_modules/x.js"), "fetched").unwrap();
        fs::write(web.join("tsconfig.tsbuildinfo"), "made").unwrap();
        assert_eq!(fingerprint(web).unwrap(), first);
        fs::write(web.join("src/main.ts"), "two").unwrap();
        assert_ne!(fingerprint(web).unwrap(), first);
    }

    #[test]
    fn a_clone_without_a_web_client_builds_none() {
        let scratch = Scratch::new("artifacts").unwrap();
        assert_eq!(build_web(scratch.path()).unwrap(), None);
    }
}
