//! A clock of some processes' own that can be set while they run: Debian's libfaketime in front of
//! the system's. Time since the start of the machine (`Instant`) goes on undisturbed, as it does
//! when an operator sets a clock.

use std::path::PathBuf;

use xtask::places::write_private;
use xtask::services::Extra;
use xtask::tools;

#[derive(Clone, Debug)]
pub struct FalseClock {
    /// Holds how many seconds it is wrong.
    file: PathBuf,
}

impl FalseClock {
    pub fn possible() -> Result<(), String> {
        let found = tools::libfaketime().map(|_| ());
        found.ok_or_else(|| "libfaketime is not installed".to_owned())
    }

    /// Set by this file; right, at first.
    pub fn at(file: PathBuf) -> FalseClock {
        let clock = FalseClock { file };
        clock.set(0);
        clock
    }

    /// Seconds that it is ahead of the true time, or behind.
    pub fn set(&self, ahead: i64) {
        // Replaced as a whole: a process may read it at any moment.
        write_private(&self.file, format!("{ahead:+}\n").as_bytes()).unwrap();
    }

    /// What a process must be started with to live by it.
    pub fn extra(&self) -> Extra {
        let library = tools::libfaketime().expect("libfaketime is installed");
        let variables = [
            ("LD_PRELOAD", library.display().to_string()),
            ("FAKETIME_TIMESTAMP_FILE", self.file.display().to_string()),
            ("FAKETIME_NO_CACHE", "1".to_owned()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
            ("FAKETIME_DONT_RESET", "1".to_owned()),
        ];
        let env = variables.map(|(name, value)| (name.to_owned(), value));
        Extra { args: Vec::new(), env: env.into() }
    }
}
