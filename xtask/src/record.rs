//! What is written down of a running stack: all of it for xtask, and the public part for others.
//!
//! Both files hold secrets and are their owner's alone. A process enters the record as soon as it
//! is started, so that a killed `up` leaves nothing behind that `down` cannot find.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::accounts::Account;
use crate::error::{Doing, Result, XtaskError};
use crate::interrupt;
use crate::places::{Places, read_if_there, remove, write_private};
use crate::process::{Identity, ProcessSpec};

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Record {
    /// Somebody is taking it down: its processes end on purpose.
    pub stopping: bool,
    pub rest_url: String,
    pub ws_url: String,
    pub redis_url: String,
    pub database_url: String,
    pub admin_token: String,
    pub accounts: Vec<Account>,
    /// As they were started.
    pub processes: Vec<Member>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Member {
    pub spec: ProcessSpec,
    pub identity: Option<Identity>,
}

impl Member {
    pub fn is_alive(&self) -> bool {
        self.identity.as_ref().is_some_and(Identity::is_alive)
    }
}

impl Record {
    pub fn load(places: &Places) -> Result<Option<Record>> {
        let path = places.record();
        let Some(text) = read_if_there(&path)? else { return Ok(None) };
        let record = serde_json::from_str(&text)
            .map_err(|cause| XtaskError::Json { what: path.display().to_string(), cause })?;
        Ok(Some(record))
    }

    pub fn save(&self, places: &Places) -> Result<()> {
        let text = serde_json::to_string_pretty(self)
            .map_err(|cause| XtaskError::Json { what: "the record".to_owned(), cause })?;
        write_private(&places.record(), text.as_bytes())
    }

    /// Writes `stack.json`.
    pub fn publish(&self, places: &Places) -> Result<()> {
        write_private(&places.stack_file(), format!("{:#}\n", self.public()).as_bytes())
    }

    /// Removes both files.
    pub fn withdraw(places: &Places) -> Result<()> {
        remove(&places.stack_file())?;
        remove(&places.record())
    }

    pub fn public(&self) -> Value {
        let accounts = self.accounts.iter().filter_map(|account| {
            let keys = account.keys.as_ref()?;
            let (key, secret) = (&keys.api_key, &keys.api_secret);
            Some(json!({ "id": account.id, "label": account.label, "api_key": key,
                "api_secret": secret }))
        });
        let pids: BTreeMap<&str, Option<i32>> = self
            .processes
            .iter()
            .map(|member| {
                let pid = member.identity.as_ref().map(|identity| identity.pid);
                (member.spec.name.as_str(), pid)
            })
            .collect();
        let ops: BTreeMap<&str, &str> = self
            .processes
            .iter()
            .filter_map(|member| Some((member.spec.name.as_str(), member.spec.ops_url.as_deref()?)))
            .collect();
        json!({
            "rest_url": self.rest_url,
            "ws_url": self.ws_url,
            "redis_url": self.redis_url,
            "database_url": self.database_url,
            "admin_token": self.admin_token,
            "accounts": accounts.collect::<Vec<_>>(),
            "processes": pids,
            "ops_urls": ops,
        })
    }

    pub fn any_alive(&self) -> bool {
        self.processes.iter().any(Member::is_alive)
    }

    pub fn member(&self, name: &str) -> Result<&Member> {
        self.processes
            .iter()
            .find(|member| member.spec.name == name)
            .ok_or_else(|| self.unknown(name))
    }

    /// Adds a process, or takes note of its new life.
    pub fn note(&mut self, spec: &ProcessSpec, identity: Option<Identity>) {
        match self.processes.iter_mut().find(|member| member.spec.name == spec.name) {
            Some(member) => *member = Member { spec: spec.clone(), identity },
            None => self.processes.push(Member { spec: spec.clone(), identity }),
        }
    }

    fn unknown(&self, name: &str) -> XtaskError {
        let known: Vec<&str> =
            self.processes.iter().map(|member| member.spec.name.as_str()).collect();
        XtaskError::UnknownProcess { name: name.to_owned(), known: known.join(", ") }
    }
}

/// Held by whoever changes a stack; freed by the kernel when the holder ends, however it ends.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Errors: another xtask works on this stack and goes on doing so for longer than `patience`.
    pub fn take(places: &Places, patience: Duration) -> Result<Lock> {
        let path = places.lock();
        let opened = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
        let file = opened.doing(format!("open {}", path.display()))?;
        let until = Instant::now() + patience;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Lock { _file: file }),
                Err(TryLockError::WouldBlock) if Instant::now() < until => {
                    std::thread::sleep(interrupt::POLL);
                }
                Err(TryLockError::WouldBlock) => {
                    return Err(XtaskError::Unable(
                        "another `cargo xtask` is just starting or stopping this stack".to_owned(),
                    ));
                }
                Err(TryLockError::Error(cause)) => {
                    return Err(cause).doing(format!("lock {}", path.display()));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    #[test]
    fn a_lock_is_held_by_one_at_a_time() {
        let scratch = Scratch::new("record").unwrap();
        let places = Places::make(scratch.path()).unwrap();
        let held = Lock::take(&places, Duration::ZERO).unwrap();
        assert!(Lock::take(&places, Duration::ZERO).is_err());
        drop(held);
        Lock::take(&places, Duration::ZERO).unwrap();
    }

    #[test]
    fn what_is_saved_comes_back_and_what_is_withdrawn_is_gone() {
        let scratch = Scratch::new("record").unwrap();
        let places = Places::make(scratch.path()).unwrap();
        assert!(Record::load(&places).unwrap().is_none());
        let record = Record { rest_url: "http://r".to_owned(), ..Record::default() };
        record.save(&places).unwrap();
        record.publish(&places).unwrap();
        assert_eq!(Record::load(&places).unwrap().unwrap().rest_url, "http://r");
        assert_eq!(record.public()["rest_url"], "http://r");
        Record::withdraw(&places).unwrap();
        assert!(Record::load(&places).unwrap().is_none());
        assert!(!places.stack_file().exists());
    }
}
