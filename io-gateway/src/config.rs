//! `[gateway]` of exchange.toml and the flags over it: `RawConfig` as written → `Config` checked.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use protocol::{AssetId, Catalog, GatewayId, Units, decimal};
use serde::Deserialize;
use service::{CommonArgs, ExchangeFile};

use crate::error::GatewayError;
use crate::limits::{LimitSettings, RawLimits};
use crate::sessions::CookieTransport;
use crate::sign_in_limits::SignInRates;

/// REST gateway of the exchange: verifies, validates, encodes; answers when the engine has decided.
#[derive(Parser, Debug)]
#[command(version)]
pub struct Args {
    #[command(flatten)]
    pub common: CommonArgs,
    /// Address for REST; port 0 takes a free one, which is logged.
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<SocketAddr>,
    /// Folder with the web client's files.
    #[arg(long, value_name = "DIR")]
    pub web_dir: Option<PathBuf>,
    /// Where browsers find the streams, as /web/config.json tells them.
    #[arg(long, value_name = "URL")]
    pub ws_url: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawConfig {
    listen: SocketAddr,
    ops_listen: SocketAddr,
    id: u32,
    reply_timeout_ms: u64,
    resend_ms: u64,
    query_timeout_ms: u64,
    redis_timeout_ms: u64,
    in_flight_max: usize,
    engine_queue_max: u64,
    body_bytes_max: usize,
    header_read_ms_max: u64,
    body_read_ms_max: u64,
    connections_max: usize,
    connections_per_address_max: usize,
    request_ms_max: u64,
    unread_ms_max: u64,
    limits: RawLimits,
    database_connections_max: u32,
    database_timeout_ms: u64,
    drain_ms_max: u64,
    trusted_proxies: Vec<IpAddr>,
    secure_cookies: bool,
    sign_ins_per_address_min: u32,
    sign_ins_per_email_min: u32,
    sign_ups_per_address_hour: u32,
    faucet: BTreeMap<String, String>,
    web_dir: Option<PathBuf>,
    ws_url: Option<String>,
}

impl Default for RawConfig {
    fn default() -> Self {
        RawConfig {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            ops_listen: SocketAddr::from(([127, 0, 0, 1], 9102)),
            id: 1,
            reply_timeout_ms: 5_000,
            resend_ms: 500,
            query_timeout_ms: 2_000,
            redis_timeout_ms: 1_000,
            in_flight_max: 10_000,
            engine_queue_max: 200_000,
            body_bytes_max: 65_536,
            header_read_ms_max: 30_000,
            body_read_ms_max: 10_000,
            connections_max: 4_096,
            connections_per_address_max: 2_048,
            request_ms_max: 30_000,
            unread_ms_max: 30_000,
            limits: RawLimits::default(),
            database_connections_max: 8,
            database_timeout_ms: 1_000,
            drain_ms_max: 10_000,
            trusted_proxies: Vec::new(),
            secure_cookies: false,
            sign_ins_per_address_min: 60,
            sign_ins_per_email_min: 10,
            sign_ups_per_address_hour: 200,
            faucet: BTreeMap::new(),
            web_dir: None,
            ws_url: None,
        }
    }
}

/// How long the engine is waited for, and how much may wait.
#[derive(Clone, Debug)]
pub struct EngineLimits {
    pub reply_timeout: Duration,
    /// A command without an answer is sent again after this.
    pub resend_after: Duration,
    pub query_timeout: Duration,
    pub redis_timeout: Duration,
    pub in_flight_max: usize,
    /// Entries in a market's command stream past which no more are sent.
    pub engine_queue_max: u64,
}

/// What one client may take.
#[derive(Clone, Debug)]
pub struct HttpLimits {
    pub body_bytes_max: usize,
    pub header_read_max: Duration,
    pub body_read_max: Duration,
    pub connections_max: usize,
    pub connections_per_address_max: usize,
    /// From the head of a request to its answer.
    pub request_max: Duration,
    /// How long a client may take nothing of its answers.
    pub unread_max: Duration,
    pub drain_max: Duration,
    /// Whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpAddr>,
}

#[derive(Clone, Debug)]
pub struct DatabaseLimits {
    pub connections_max: u32,
    pub timeout: Duration,
}

#[derive(Debug)]
pub struct Config {
    pub catalog: Catalog,
    pub redis_url: String,
    pub database_url: String,
    pub listen: SocketAddr,
    pub ops_listen: SocketAddr,
    pub gateway: GatewayId,
    pub engine: EngineLimits,
    pub http: HttpLimits,
    pub limits: LimitSettings,
    pub database: DatabaseLimits,
    pub cookie_transport: CookieTransport,
    pub sign_in_rates: SignInRates,
    /// What the faucet gives of each asset; it is off when that is nothing.
    pub faucet: BTreeMap<AssetId, Units>,
    pub web_dir: Option<PathBuf>,
    pub ws_url: Option<String>,
    /// `EXCHANGE_ADMIN_TOKEN`; without it there is no admin surface.
    pub admin_token: Option<String>,
}

/// Shorter tokens can be guessed.
const ADMIN_TOKEN_BYTES_MIN: usize = 16;

impl Config {
    pub fn load(args: Args) -> Result<Self, GatewayError> {
        let file = ExchangeFile::load(&args.common.config)?;
        let token = std::env::var("EXCHANGE_ADMIN_TOKEN").ok();
        Self::check(args, file, token.filter(|token| !token.is_empty()))
    }

    fn check(
        args: Args,
        file: ExchangeFile,
        admin_token: Option<String>,
    ) -> Result<Self, GatewayError> {
        let raw: RawConfig = file.section("gateway")?;
        for (key, value) in [
            ("reply_timeout_ms", raw.reply_timeout_ms),
            ("resend_ms", raw.resend_ms),
            ("query_timeout_ms", raw.query_timeout_ms),
            ("redis_timeout_ms", raw.redis_timeout_ms),
            ("header_read_ms_max", raw.header_read_ms_max),
            ("body_read_ms_max", raw.body_read_ms_max),
            ("request_ms_max", raw.request_ms_max),
            ("unread_ms_max", raw.unread_ms_max),
            ("database_timeout_ms", raw.database_timeout_ms),
            ("drain_ms_max", raw.drain_ms_max),
        ] {
            within(key, value, 1..=600_000, "must be 1 to 600000 milliseconds")?;
        }
        let counts = "must be 1 to 1000000";
        within("in_flight_max", raw.in_flight_max, 1..=1_000_000, counts)?;
        within("connections_max", raw.connections_max, 1..=1_000_000, counts)?;
        let per_address = raw.connections_per_address_max;
        within("connections_per_address_max", per_address, 1..=1_000_000, counts)?;
        within("engine_queue_max", raw.engine_queue_max, 1..=u64::MAX, "must be at least 1")?;
        let bytes = "must be 1024 to 1048576 bytes";
        within("body_bytes_max", raw.body_bytes_max, 1_024..=1_048_576, bytes)?;
        let pool = "must be 1 to 1000";
        within("database_connections_max", raw.database_connections_max, 1..=1_000, pool)?;
        if admin_token.as_ref().is_some_and(|token| token.len() < ADMIN_TOKEN_BYTES_MIN) {
            let rule = "must have at least 16 characters";
            return Err(GatewayError::Setting { key: "EXCHANGE_ADMIN_TOKEN", rule });
        }
        let faucet = faucet(&raw.faucet, &file.catalog)?;
        Ok(Config {
            cookie_transport: cookie_transport(&raw),
            sign_in_rates: sign_in_rates(&raw)?,
            faucet,
            catalog: file.catalog,
            redis_url: file.redis_url,
            database_url: file.database_url,
            listen: args.listen.unwrap_or(raw.listen),
            ops_listen: args.common.ops_listen.unwrap_or(raw.ops_listen),
            gateway: GatewayId(raw.id),
            engine: EngineLimits {
                reply_timeout: Duration::from_millis(raw.reply_timeout_ms),
                resend_after: Duration::from_millis(raw.resend_ms),
                query_timeout: Duration::from_millis(raw.query_timeout_ms),
                redis_timeout: Duration::from_millis(raw.redis_timeout_ms),
                in_flight_max: raw.in_flight_max,
                engine_queue_max: raw.engine_queue_max,
            },
            http: HttpLimits {
                body_bytes_max: raw.body_bytes_max,
                header_read_max: Duration::from_millis(raw.header_read_ms_max),
                body_read_max: Duration::from_millis(raw.body_read_ms_max),
                connections_max: raw.connections_max,
                connections_per_address_max: raw.connections_per_address_max,
                request_max: Duration::from_millis(raw.request_ms_max),
                unread_max: Duration::from_millis(raw.unread_ms_max),
                drain_max: Duration::from_millis(raw.drain_ms_max),
                trusted_proxies: raw.trusted_proxies,
            },
            limits: raw.limits.check()?,
            database: DatabaseLimits {
                connections_max: raw.database_connections_max,
                timeout: Duration::from_millis(raw.database_timeout_ms),
            },
            web_dir: args.web_dir.or(raw.web_dir),
            ws_url: args.ws_url.or(raw.ws_url),
            admin_token,
        })
    }
}

fn cookie_transport(raw: &RawConfig) -> CookieTransport {
    match raw.secure_cookies {
        true => CookieTransport::HttpsOnly,
        false => CookieTransport::Any,
    }
}

fn sign_in_rates(raw: &RawConfig) -> Result<SignInRates, GatewayError> {
    Ok(SignInRates {
        per_address: rate("sign_ins_per_address_min", raw.sign_ins_per_address_min)?,
        per_email: rate("sign_ins_per_email_min", raw.sign_ins_per_email_min)?,
        sign_ups_per_address: rate("sign_ups_per_address_hour", raw.sign_ups_per_address_hour)?,
    })
}

fn rate(key: &'static str, rate: u32) -> Result<NonZeroU32, GatewayError> {
    NonZeroU32::new(rate).ok_or(GatewayError::Setting { key, rule: "must be at least 1" })
}

fn faucet(
    raw: &BTreeMap<String, String>,
    catalog: &Catalog,
) -> Result<BTreeMap<AssetId, Units>, GatewayError> {
    let amount = |(symbol, quantity): (&String, &String)| {
        let asset = catalog.asset_by_symbol(symbol)?;
        let units = decimal::parse(quantity).and_then(|value| decimal::units(value, asset)).ok()?;
        Some((asset.id, units))
    };
    let rule = "must give amounts of listed assets";
    let amounts = raw.iter().map(amount).collect::<Option<_>>();
    amounts.ok_or(GatewayError::Setting { key: "faucet", rule })
}

fn within<T: PartialOrd>(
    key: &'static str,
    value: T,
    allowed: std::ops::RangeInclusive<T>,
    rule: &'static str,
) -> Result<(), GatewayError> {
    if allowed.contains(&value) { Ok(()) } else { Err(GatewayError::Setting { key, rule }) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn check(section: &str, token: Option<&str>) -> Result<Config, GatewayError> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        write!(
            file,
            "assets = []\nmarkets = []\n[redis]\nurl = \"redis://127.0.0.1:1/\"\n\
             [database]\nurl = \"postgres://127.0.0.1:1/x\"\n[gateway]\n{section}"
        )
        .unwrap();
        let args = Args::parse_from(["io-gateway", "--listen", "127.0.0.1:0"]);
        Config::check(args, ExchangeFile::load(file.path()).unwrap(), token.map(str::to_owned))
    }

    #[test]
    fn flags_win_over_the_file_and_defaults_fill_the_rest() {
        let config = check("id = 3\nlisten = \"127.0.0.1:9\"\n", None).unwrap();
        assert_eq!((config.gateway, config.listen.port()), (GatewayId(3), 0));
        assert_eq!(config.http.body_bytes_max, 65_536);
        assert!(config.admin_token.is_none());
    }

    #[test]
    fn a_setting_out_of_its_range_is_named() {
        for (section, key) in [
            ("reply_timeout_ms = 0", "reply_timeout_ms"),
            ("body_bytes_max = 10", "body_bytes_max"),
            ("in_flight_max = 0", "in_flight_max"),
            ("sign_ins_per_email_min = 0", "sign_ins_per_email_min"),
            ("faucet = { EUR = \"5\" }", "faucet"),
        ] {
            let error = check(section, None).unwrap_err();
            assert!(error.to_string().contains(key), "{error}");
        }
        assert!(check("reply_timeout = 5", None).is_err());
        assert!(check("", Some("short")).is_err());
    }
}
