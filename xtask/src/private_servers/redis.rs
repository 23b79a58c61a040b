//! A private Redis. It holds queues that must survive its restart, so it appends to a file and
//! refuses to forget.

use std::collections::BTreeMap;
use std::fs;

use crate::error::{Doing, Result, XtaskError};
use crate::places::Places;
use crate::process::{ProcessSpec, StopBy};
use crate::readiness::Probe;
use crate::tools;

#[derive(Clone, Debug)]
pub struct PrivateRedis {
    pub spec: ProcessSpec,
    pub url: String,
}

pub const NAME: &str = "redis";

impl PrivateRedis {
    /// Makes the data folder; starts nothing.
    pub fn prepare(places: &Places, port: u16) -> Result<PrivateRedis> {
        let program = tools::redis_server().ok_or_else(|| {
            XtaskError::Unable("redis-server (7.0 or newer) is not installed".to_owned())
        })?;
        let data = places.redis_data();
        fs::create_dir_all(&data).doing(format!("make {}", data.display()))?;
        let port_text = port.to_string();
        let settings = [
            ("--port", port_text.as_str()),
            ("--bind", "127.0.0.1"),
            ("--protected-mode", "yes"),
            ("--daemonize", "no"),
            ("--dir", &data.to_string_lossy()),
            ("--appendonly", "yes"),
            ("--appendfsync", "everysec"),
            ("--save", ""),
            ("--maxmemory-policy", "noeviction"),
        ];
        let args = settings.iter().flat_map(|(name, value)| [*name, *value]);
        let spec = ProcessSpec {
            name: NAME.to_owned(),
            program,
            args: args.map(str::to_owned).collect(),
            env: BTreeMap::new(),
            cwd: data.clone(),
            user: None,
            log: places.log(NAME),
            ready: Probe::Redis { port },
            stop_by: StopBy::Terminate,
            ops_url: None,
        };
        Ok(PrivateRedis { spec, url: format!("redis://127.0.0.1:{port}/") })
    }
}
