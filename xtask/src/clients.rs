//! The Python environments that clients of others live in: made once from a requirements file with
//! exact versions, under `target/`, and made anew when that file changes.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::artifacts;
use crate::error::{Doing, Result, XtaskError};
use crate::process::{append_to, run, tail};
use crate::setup::{self, Need};
use crate::tools;

/// Written last, so that an environment is either whole or made again.
const WHOLE: &str = ".whole";

/// What pip says when nobody answers it to the last try, as against a package that is not there.
const UNREACHABLE: [&str; 3] = ["Retry(total=0,", "Max retries exceeded", "Read timed out"];

/// A requirements file in `tests/clients/`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Environment(&'static str);

/// ccxt and all that goes with it.
pub const CLIENTS: Environment = Environment("requirements.txt");
/// bpx-py asks for other versions than ccxt.
pub const BPX_PY: Environment = Environment("requirements-bpx-py.txt");

const ALL: [Environment; 2] = [CLIENTS, BPX_PY];

/// Where the clients' own scripts are.
pub fn scripts(root: &Path) -> PathBuf {
    root.join("tests").join("clients")
}

impl Environment {
    /// Its interpreter. Errors: it has not been made; the text says how it is.
    pub fn python(self, root: &Path) -> Result<PathBuf> {
        let folder = self.folder(root)?;
        if folder.join(WHOLE).exists() {
            return Ok(folder.join("bin").join("python"));
        }
        let text =
            format!("no environment for tests/clients/{}; cargo xtask clients makes it", self.0);
        Err(XtaskError::Unable(text))
    }

    fn requirements(self, root: &Path) -> PathBuf {
        scripts(root).join(self.0)
    }

    fn folder(self, root: &Path) -> Result<PathBuf> {
        let file = self.requirements(root);
        let wanted = fs::read_to_string(&file).doing(format!("read {}", file.display()))?;
        let mut hash = DefaultHasher::new();
        wanted.hash(&mut hash);
        Ok(root.join("target").join(format!("clients-venv-{:016x}", hash.finish())))
    }

    fn make(self, root: &Path) -> Result<Made> {
        if self.python(root).is_ok() {
            return Ok(Made::Whole);
        }
        let folder = self.folder(root)?;
        let log = folder.with_extension("log");
        for old in [&folder, &log] {
            remove(old)?;
        }
        let python = tools::python()
            .ok_or_else(|| XtaskError::Unable("no Python that makes environments".to_owned()))?;
        println!("installing what tests/clients/{} names into {}", self.0, folder.display());
        run(Command::new(python).args(["-m", "venv"]).arg(&folder))?;
        let output = append_to(&log)?;
        let errors = output.try_clone().doing("share a log file")?;
        let mut pip = Command::new(folder.join("bin").join("python"));
        pip.args(["-m", "pip", "install", "--no-input", "--disable-pip-version-check"]);
        pip.args(["--retries", "2", "--requirement"]).arg(self.requirements(root));
        pip.stdin(Stdio::null()).stdout(output).stderr(errors);
        match run(&mut pip) {
            Ok(()) => {
                let mark = folder.join(WHOLE);
                fs::write(&mark, "").doing(format!("write {}", mark.display()))?;
                Ok(Made::Whole)
            }
            Err(XtaskError::Command { outcome, .. }) => {
                let said = fs::read_to_string(&log).unwrap_or_default();
                if nobody_answered(&said) {
                    return Ok(Made::Unreachable);
                }
                Err(XtaskError::NotReady {
                    name: "pip install".to_owned(),
                    reason: outcome,
                    tail: tail(&log),
                    log: log.display().to_string(),
                })
            }
            Err(other) => Err(other),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Made {
    Whole,
    /// There is no way to where packages come from.
    Unreachable,
}

/// `cargo xtask clients`.
pub fn install() -> Result<()> {
    setup::ensure(&[Need::Python])?;
    ensure(&artifacts::repository_root())
}

/// Makes what is not there. Where pip reaches nobody, the tests that need it are left out, said so.
pub fn ensure(root: &Path) -> Result<()> {
    for environment in ALL {
        if environment.make(root)? == Made::Unreachable {
            println!(
                "pip reaches no package registry and tests/clients/{} is not installed; the tests \
                 that need it are left out",
                environment.0
            );
        }
    }
    Ok(())
}

fn nobody_answered(said: &str) -> bool {
    UNREACHABLE.iter().any(|words| said.contains(words))
}

fn remove(path: &Path) -> Result<()> {
    let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    match removed {
        Err(cause) if cause.kind() != std::io::ErrorKind::NotFound => {
            Err(cause).doing(format!("remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::artifacts::repository_root;
    use crate::scratch::Scratch;

    #[test]
    fn every_requirement_has_one_exact_version() {
        for environment in ALL {
            let text = fs::read_to_string(environment.requirements(&repository_root())).unwrap();
            let lines = text.lines().filter(|line| !line.starts_with('#'));
            let packages: Vec<&str> = lines.collect();
            assert!(packages.len() > 5, "{environment:?}");
            assert!(packages.iter().all(|line| line.contains("==")), "{environment:?}");
        }
    }

    #[test]
    fn a_registry_that_is_away_is_told_from_a_package_that_is_not_there() {
        let retrying = "WARNING: Retrying (Retry(total=1, connect=None)) after connection broken";
        let missing = "ERROR: No matching distribution found for ccxt==9";
        let last = "WARNING: Retrying (Retry(total=0, connect=None)) after connection broken";
        assert!(nobody_answered(&format!("{retrying}\n{last}\n{missing}")));
        assert!(!nobody_answered(missing));
        assert!(!nobody_answered(&format!("{retrying}\n{missing}")));
    }

    #[test]
    fn another_requirement_is_another_environment_and_one_not_made_says_so() {
        let scratch = Scratch::new("clients").unwrap();
        let root = scratch.path();
        fs::create_dir_all(scripts(root)).unwrap();
        fs::write(CLIENTS.requirements(root), "one==1\n").unwrap();
        let before = CLIENTS.folder(root).unwrap();
        fs::write(CLIENTS.requirements(root), "one==2\n").unwrap();
        let after = CLIENTS.folder(root).unwrap();
        assert_ne!(before, after);
        assert!(CLIENTS.python(root).unwrap_err().to_string().contains("cargo xtask clients"));
        fs::create_dir_all(&after).unwrap();
        fs::write(after.join(WHOLE), "").unwrap();
        assert!(CLIENTS.python(root).unwrap().ends_with("bin/python"));
    }
}
