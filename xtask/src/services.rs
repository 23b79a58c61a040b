//! The exchange's five processes: what each is started with.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::error::Result;
use crate::places::Places;
use crate::ports::Ports;
use crate::process::{ProcessSpec, StopBy};
use crate::readiness::Probe;

pub const ENGINE: &str = "engine";
pub const IO_GATEWAY: &str = "io-gateway";
pub const WS_FANOUT: &str = "ws-fanout";
pub const DB_SINK: &str = "db-sink";
pub const MM: &str = "mm";

/// As they are started.
pub const ALL: [&str; 5] = [ENGINE, IO_GATEWAY, WS_FANOUT, DB_SINK, MM];

/// What a test or an operator adds to one service's settings.
#[derive(Clone, Debug, Default)]
pub struct Extra {
    pub args: Vec<String>,
    pub env: BTreeMap<String, String>,
}

/// What the services of one stack share.
#[derive(Clone, Debug)]
pub struct Settings {
    pub binaries_dir: PathBuf,
    pub config: PathBuf,
    /// Working folder of every service.
    pub cwd: PathBuf,
    pub web_dir: Option<PathBuf>,
    pub redis_url: String,
    pub database_url: String,
    pub admin_token: String,
    pub extra: BTreeMap<String, Extra>,
}

/// Name of a service's client-facing port in the file of remembered ports.
const REST: &str = "rest";
const WS: &str = "ws";

#[derive(Clone, Debug)]
pub struct Urls {
    pub rest: String,
    pub ws: String,
}

impl Urls {
    /// Where the gateway and the fan-out will listen.
    pub fn take(ports: &mut Ports) -> Result<Urls> {
        Ok(Urls {
            rest: format!("http://127.0.0.1:{}", ports.take(REST)?),
            ws: format!("ws://127.0.0.1:{}", ports.take(WS)?),
        })
    }
}

impl Settings {
    pub fn engine(&self, places: &Places, ports: &mut Ports) -> Result<ProcessSpec> {
        let data = places.engine_data().display().to_string();
        self.spec(ENGINE, &["--data-dir", &data], &[self.redis()], places, ports)
    }

    pub fn io_gateway(
        &self,
        urls: &Urls,
        places: &Places,
        ports: &mut Ports,
    ) -> Result<ProcessSpec> {
        let mut args = vec!["--listen", address(&urls.rest), "--ws-url", &urls.ws];
        let web_dir = self.web_dir.as_ref().map(|folder| folder.display().to_string());
        if let Some(web_dir) = &web_dir {
            args.extend(["--web-dir", web_dir]);
        }
        let token = ("EXCHANGE_ADMIN_TOKEN", self.admin_token.as_str());
        let env = [self.redis(), self.database(), token];
        self.spec(IO_GATEWAY, &args, &env, places, ports)
    }

    pub fn ws_fanout(
        &self,
        urls: &Urls,
        places: &Places,
        ports: &mut Ports,
    ) -> Result<ProcessSpec> {
        self.spec(WS_FANOUT, &["--listen", address(&urls.ws)], &[self.redis()], places, ports)
    }

    pub fn db_sink(&self, places: &Places, ports: &mut Ports) -> Result<ProcessSpec> {
        self.spec(DB_SINK, &[], &[self.redis(), self.database()], places, ports)
    }

    pub fn mm(
        &self,
        account: &str,
        taker: &str,
        places: &Places,
        ports: &mut Ports,
    ) -> Result<ProcessSpec> {
        let args = ["--account", account, "--taker-account", taker];
        self.spec(MM, &args, &[self.redis()], places, ports)
    }

    fn redis(&self) -> (&'static str, &str) {
        ("REDIS_URL", &self.redis_url)
    }

    fn database(&self) -> (&'static str, &str) {
        ("DATABASE_URL", &self.database_url)
    }

    fn spec(
        &self,
        name: &str,
        args: &[&str],
        env: &[(&str, &str)],
        places: &Places,
        ports: &mut Ports,
    ) -> Result<ProcessSpec> {
        let ops = format!("127.0.0.1:{}", ports.take(&format!("{name}-ops"))?);
        let ops_url = format!("http://{ops}");
        let config = self.config.display().to_string();
        let common = ["--config", &config, "--ops-listen", &ops];
        let mut spec = ProcessSpec {
            name: name.to_owned(),
            program: self.binaries_dir.join(name),
            args: common.iter().chain(args).map(|arg| (*arg).to_owned()).collect(),
            env: env
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            cwd: self.cwd.clone(),
            user: None,
            log: places.log(name),
            ready: Probe::Http { url: format!("{ops_url}/readyz") },
            stop_by: StopBy::Terminate,
            ops_url: Some(ops_url),
        };
        if let Some(extra) = self.extra.get(name) {
            spec.args.extend(extra.args.iter().cloned());
            spec.env.extend(extra.env.clone());
        }
        Ok(spec)
    }
}

/// `host:port` of a URL made here.
fn address(url: &str) -> &str {
    url.split_once("://").map_or(url, |(_, address)| address)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    #[test]
    fn each_service_gets_the_secrets_it_needs_and_no_other() {
        let scratch = Scratch::new("services").unwrap();
        let places = Places::make(scratch.path()).unwrap();
        let mut ports = Ports::load(places.ports()).unwrap();
        let extra = Extra { args: vec!["--quick".to_owned()], env: BTreeMap::new() };
        let settings = Settings {
            binaries_dir: "/bin".into(),
            config: "exchange.toml".into(),
            cwd: scratch.path().to_path_buf(),
            web_dir: None,
            redis_url: "redis://r/".to_owned(),
            database_url: "postgres://d/".to_owned(),
            admin_token: "secret".to_owned(),
            extra: BTreeMap::from([(ENGINE.to_owned(), extra)]),
        };
        let urls = Urls::take(&mut ports).unwrap();
        let names = |spec: &ProcessSpec| spec.env.keys().cloned().collect::<Vec<_>>().join(" ");

        let engine = settings.engine(&places, &mut ports).unwrap();
        assert_eq!(names(&engine), "REDIS_URL");
        assert_eq!(engine.args.last().unwrap(), "--quick");
        let gateway = settings.io_gateway(&urls, &places, &mut ports).unwrap();
        assert_eq!(names(&gateway), "DATABASE_URL EXCHANGE_ADMIN_TOKEN REDIS_URL");
        assert!(gateway.args.contains(&address(&urls.rest).to_owned()));
        assert!(gateway.args.contains(&urls.ws), "the page learns there where the streams are");
        assert!(!gateway.args.contains(&"secret".to_owned()), "a flag is seen by all users");
        let fanout = settings.ws_fanout(&urls, &places, &mut ports).unwrap();
        assert_eq!(names(&fanout), "REDIS_URL");
        let sink = settings.db_sink(&places, &mut ports).unwrap();
        assert_eq!(names(&sink), "DATABASE_URL REDIS_URL");
        let mm = settings.mm("7", "8", &places, &mut ports).unwrap();
        assert_eq!(names(&mm), "REDIS_URL");
        assert_ne!(mm.ops_url, sink.ops_url);
    }
}
