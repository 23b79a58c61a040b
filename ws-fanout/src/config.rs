//! Section `[fanout]` of `exchange.toml`: `RawConfig` as written, `Config` checked.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use protocol::GatewayId;
use serde::Deserialize;

use crate::error::FanoutError;

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawConfig {
    pub listen: SocketAddr,
    pub ops_listen: SocketAddr,
    pub id: u32,
    pub threads: usize,
    pub cores: Vec<usize>,
    pub trusted_proxies: Vec<IpAddr>,
    pub sockets_max: usize,
    pub sockets_per_address_max: usize,
    pub handshake_ms_max: u64,
    pub send_buffer_bytes: usize,
    pub streams_per_socket_max: usize,
    pub requests_per_s_max: u32,
    pub outbox_frames_max: usize,
    pub outbox_bytes_max: usize,
    pub ping_every_ms: u64,
    pub pong_ms_max: u64,
    pub close_ms_max: u64,
    pub drain_ms_max: u64,
}

impl Default for RawConfig {
    fn default() -> Self {
        RawConfig {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8081)),
            ops_listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 9103)),
            id: 950,
            threads: 1,
            cores: Vec::new(),
            trusted_proxies: Vec::new(),
            sockets_max: 20_000,
            sockets_per_address_max: 20_000,
            handshake_ms_max: 10_000,
            send_buffer_bytes: 64 << 10,
            streams_per_socket_max: 1000,
            requests_per_s_max: 100,
            outbox_frames_max: 4096,
            outbox_bytes_max: 8 << 20,
            ping_every_ms: 30_000,
            pong_ms_max: 120_000,
            close_ms_max: 2_000,
            drain_ms_max: 5_000,
        }
    }
}

#[derive(Clone, Debug)]
pub struct Config {
    pub listen: SocketAddr,
    pub ops_listen: SocketAddr,
    /// Names its reply channels; no other process that runs at the same time has it.
    pub id: GatewayId,
    /// That hold the sockets.
    pub threads: usize,
    /// Of the threads, in turn; empty: wherever the system puts them.
    pub cores: Vec<usize>,
    pub trusted_proxies: Vec<IpAddr>,
    pub sockets_max: usize,
    pub sockets_per_address_max: usize,
    /// From the connection to the end of its handshake.
    pub handshake_max: Duration,
    /// What the system keeps of what is written to one socket.
    pub send_buffer_bytes: usize,
    pub connection: ConnectionConfig,
    /// How long clients have to answer the Close at shutdown.
    pub drain_max: Duration,
}

/// Bounds of one socket.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionConfig {
    pub streams_max: usize,
    /// Requests a second; as many may come at once.
    pub requests_per_s_max: u32,
    pub outbox_frames_max: usize,
    pub outbox_bytes_max: usize,
    pub ping_every: Duration,
    pub pong_max: Duration,
    /// How long a closed client has to take the Close and answer it.
    pub close_max: Duration,
}

impl Config {
    pub fn check(raw: RawConfig) -> Result<Config, FanoutError> {
        let positive = [
            ("id", u64::from(raw.id)),
            ("threads", raw.threads as u64),
            ("handshake_ms_max", raw.handshake_ms_max),
            ("send_buffer_bytes", raw.send_buffer_bytes as u64),
            ("sockets_max", raw.sockets_max as u64),
            ("sockets_per_address_max", raw.sockets_per_address_max as u64),
            ("streams_per_socket_max", raw.streams_per_socket_max as u64),
            ("requests_per_s_max", u64::from(raw.requests_per_s_max)),
            ("outbox_frames_max", raw.outbox_frames_max as u64),
            ("outbox_bytes_max", raw.outbox_bytes_max as u64),
            ("ping_every_ms", raw.ping_every_ms),
            ("close_ms_max", raw.close_ms_max),
            ("drain_ms_max", raw.drain_ms_max),
        ];
        for (key, value) in positive {
            if value == 0 {
                return Err(FanoutError::Config { key, rule: "must be positive" });
            }
        }
        // The contract promises clients a ping a minute.
        if 60_000 < raw.ping_every_ms {
            return Err(FanoutError::Config { key: "ping_every_ms", rule: "is at most 60000" });
        }
        if raw.pong_ms_max <= raw.ping_every_ms {
            let rule = "must be longer than ping_every_ms";
            return Err(FanoutError::Config { key: "pong_ms_max", rule });
        }
        Ok(Config {
            listen: raw.listen,
            ops_listen: raw.ops_listen,
            id: GatewayId(raw.id),
            threads: raw.threads,
            cores: raw.cores,
            trusted_proxies: raw.trusted_proxies,
            handshake_max: Duration::from_millis(raw.handshake_ms_max),
            send_buffer_bytes: raw.send_buffer_bytes,
            sockets_max: raw.sockets_max,
            sockets_per_address_max: raw.sockets_per_address_max,
            connection: ConnectionConfig {
                streams_max: raw.streams_per_socket_max,
                requests_per_s_max: raw.requests_per_s_max,
                outbox_frames_max: raw.outbox_frames_max,
                outbox_bytes_max: raw.outbox_bytes_max,
                ping_every: Duration::from_millis(raw.ping_every_ms),
                pong_max: Duration::from_millis(raw.pong_ms_max),
                close_max: Duration::from_millis(raw.close_ms_max),
            },
            drain_max: Duration::from_millis(raw.drain_ms_max),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_hold_and_a_wrong_key_is_named() {
        assert!(Config::check(RawConfig::default()).is_ok());
        let raw = RawConfig { ping_every_ms: 61_000, ..RawConfig::default() };
        assert!(Config::check(raw).unwrap_err().to_string().contains("ping_every_ms"));
        let raw = RawConfig { sockets_max: 0, ..RawConfig::default() };
        assert!(Config::check(raw).unwrap_err().to_string().contains("sockets_max"));
    }
}
