//! The servers the tests share, a database and a Redis of its own for each test.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use db_sink::config::Config;
use db_sink::{RetentionTerms, SinkError, Timescale, TimescaleMode, WriteBy};
use protocol::Catalog;
use redis::aio::MultiplexedConnection;
use service::ExchangeFile;
use sqlx::{Connection, PgConnection};
use xtask::private_servers::Server;

pub const PATIENCE: Duration = Duration::from_secs(20);

/// One PostgreSQL while any test uses it.
fn shared_postgres() -> Arc<Server> {
    static SHARED: Mutex<Weak<Server>> = Mutex::new(Weak::new());
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    shared.upgrade().unwrap_or_else(|| {
        let fresh = Arc::new(Server::postgres("sink").unwrap());
        *shared = Arc::downgrade(&fresh);
        fresh
    })
}

/// What a test runs in.
pub struct World {
    pub config: Config,
    pub catalog: Catalog,
    redis: Option<Server>,
    /// Shared, or its own where a test takes it down.
    pub postgres: Arc<Server>,
}

impl World {
    /// A fresh database with nothing in it.
    pub async fn new() -> World {
        World::on(shared_postgres()).await
    }

    pub async fn on(postgres: Arc<Server>) -> World {
        static DATABASES: AtomicU32 = AtomicU32::new(0);
        let name = format!("test_{}", DATABASES.fetch_add(1, Ordering::Relaxed));
        let mut connection = PgConnection::connect(&postgres.url).await.unwrap();
        let create = sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}"));
        sqlx::raw_sql(create).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
        let (server, _) = postgres.url.rsplit_once('/').unwrap();
        let config = Config {
            ops_listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            redis_url: String::new(),
            database_url: format!("{server}/{name}"),
            writers: 2,
            write_by: WriteBy::Copy,
            rows_max: 1000,
            age_max: Duration::from_millis(20),
            read_entries_max: 300,
            redis_deadline: Duration::from_secs(5),
            refill_max: Duration::from_millis(200),
            database_deadline: Duration::from_secs(10),
            retry_max: Duration::from_millis(200),
            drain_max: Duration::from_secs(10),
            timescale: Timescale { mode: TimescaleMode::Auto, compress_after_days: Some(7) },
            retention: RetentionTerms {
                keep_days: None,
                every: Duration::from_secs(3600),
                batch_rows: 100,
            },
        };
        let catalog = ExchangeFile::load(&exchange_toml()).unwrap().catalog;
        World { config, catalog, redis: None, postgres }
    }

    pub fn with_redis(mut self) -> World {
        let redis = Server::redis("sink").unwrap();
        self.config.redis_url.clone_from(&redis.url);
        self.redis = Some(redis);
        self
    }

    /// Ends Redis; `meanwhile`, then a Redis without any data at the same address.
    pub async fn replace_redis(&mut self, meanwhile: impl AsyncFnOnce()) {
        let redis = self.redis.as_mut().unwrap();
        redis.kill().unwrap();
        meanwhile().await;
        std::fs::remove_dir_all(redis.data().join("appendonlydir")).unwrap();
        redis.restart().unwrap();
    }

    pub async fn redis(&self) -> MultiplexedConnection {
        let client = redis::Client::open(self.config.redis_url.as_str()).unwrap();
        client.get_multiplexed_async_connection().await.unwrap()
    }

    pub async fn connect(&self) -> PgConnection {
        PgConnection::connect(&self.config.database_url).await.unwrap()
    }

    pub fn database(&self) -> db_sink::database::Database {
        let (url, deadline) = (&self.config.database_url, self.config.database_deadline);
        db_sink::database::Database::new(url, deadline).unwrap()
    }

    pub async fn migrate(&self) -> Result<(), SinkError> {
        db_sink::migrate::prepare(&mut self.database(), self.config.timescale).await
    }
}

pub fn exchange_toml() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../exchange.toml"))
}

/// Asks again and again until the answer is yes.
pub async fn eventually<F: Future<Output = bool>>(what: &str, mut ask: impl FnMut() -> F) {
    let until = Instant::now() + PATIENCE;
    while !ask().await {
        assert!(Instant::now() < until, "not within {PATIENCE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
