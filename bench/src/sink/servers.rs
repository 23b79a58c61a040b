//! A PostgreSQL on the disk of the bench, as durable as the one that `up` starts, with a database
//! for each run; and a Redis.

use std::str::FromStr;
use std::time::Duration;

use db_sink::config::{Config, TimescaleMode};
use db_sink::database::Database;
use db_sink::migrate;
use redis::{Client, Connection};
use service::ExchangeFile;
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection as _, PgConnection};
use xtask::artifacts::repository_root;
use xtask::places::Places;
use xtask::private_servers::{Server, postgres};

use crate::cpu_time::cpu_time_of_family;
use crate::error::BenchError;
use crate::place::Place;

#[derive(Debug)]
pub struct Servers {
    places: Places,
    postgres: Option<Server>,
    redis: Server,
    databases: u32,
}

impl Servers {
    pub fn start(place: &Place) -> Result<Servers, BenchError> {
        let places = Places::make(&place.path().join("var")).map_err(BenchError::Exchange)?;
        let postgres = Server::durable_postgres(&places).map_err(BenchError::Exchange)?;
        let redis = Server::redis("bench-sink").map_err(BenchError::Exchange)?;
        Ok(Servers { places, postgres: Some(postgres), redis, databases: 0 })
    }

    /// A database with the tables in it and nothing else, and a sink's configuration for it: what
    /// exchange.toml says.
    pub async fn fresh(&mut self) -> Result<Config, BenchError> {
        let root = self.postgres.as_ref().map(|server| server.url.clone()).unwrap_or_default();
        let mut connection = connect(&root).await?;
        self.databases += 1;
        let name = format!("bench_{}", self.databases);
        for statement in [format!("CREATE DATABASE {name}"), "CHECKPOINT".to_owned()] {
            let done = sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut connection).await;
            done.map_err(BenchError::Database)?;
        }
        connection.close().await.map_err(BenchError::Database)?;
        let path = repository_root().join("exchange.toml");
        let file = ExchangeFile::load(&path).map_err(BenchError::Configuration)?;
        let mut config = Config::load(&file, None).map_err(BenchError::SinkConfiguration)?;
        let (server, _) = root.rsplit_once('/').unwrap_or_default();
        config.database_url = format!("{server}/{name}");
        config.redis_url.clone_from(&self.redis.url);
        config.timescale.mode = TimescaleMode::Off;
        config.database_deadline = Duration::from_secs(60);
        let database = Database::new(&config.database_url, config.database_deadline);
        let mut database = database.map_err(BenchError::Sink)?;
        migrate::prepare(&mut database, config.timescale).await.map_err(BenchError::Sink)?;
        Ok(config)
    }

    /// Takes away what a run has written, so that the next finds the disk as it did.
    pub async fn discard(&self, config: &Config) -> Result<(), BenchError> {
        let root = self.postgres.as_ref().map(|server| server.url.clone()).unwrap_or_default();
        let name = config.database_url.rsplit_once('/').map_or("", |(_, name)| name);
        let statement = AssertSqlSafe(format!("DROP DATABASE {name} WITH (FORCE)"));
        let mut connection = connect(&root).await?;
        sqlx::raw_sql(statement).execute(&mut connection).await.map_err(BenchError::Database)?;
        self.redis()?.flush()
    }

    /// Of all processes of PostgreSQL, those that have ended too.
    pub fn cpu_time(&self) -> Result<Duration, BenchError> {
        let postmaster = self.postgres.as_ref().map_or(0, Server::pid);
        cpu_time_of_family(postmaster)
    }

    pub fn redis(&self) -> Result<Queues, BenchError> {
        let client = Client::open(self.redis.url.as_str()).map_err(BenchError::Redis)?;
        Ok(Queues(client.get_connection().map_err(BenchError::Redis)?))
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        self.postgres = None;
        if let Err(error) = postgres::remove_data(&self.places) {
            eprintln!("{}", error.in_full());
        }
    }
}

pub async fn connect(url: &str) -> Result<PgConnection, BenchError> {
    let options = PgConnectOptions::from_str(url).map_err(BenchError::Database)?;
    options.disable_statement_logging().connect().await.map_err(BenchError::Database)
}

/// The event queues.
pub struct Queues(Connection);

impl Queues {
    pub fn append(&mut self, pipeline: &redis::Pipeline) -> Result<(), BenchError> {
        pipeline.query(&mut self.0).map_err(BenchError::Redis)
    }

    fn flush(&mut self) -> Result<(), BenchError> {
        redis::cmd("FLUSHALL").query(&mut self.0).map_err(BenchError::Redis)
    }
}
