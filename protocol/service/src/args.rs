//! Flags that every service has.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;

#[derive(Args, Clone, Debug)]
pub struct CommonArgs {
    /// The exchange's one configuration file.
    #[arg(long, value_name = "PATH", default_value = "exchange.toml", global = true)]
    pub config: PathBuf,
    /// Address for /healthz, /readyz and /metrics; overrides the file.
    #[arg(long, value_name = "ADDR", global = true)]
    pub ops_listen: Option<SocketAddr>,
}
