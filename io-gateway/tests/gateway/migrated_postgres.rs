//! A PostgreSQL server of the test's own, with the exchange's migrations.

use std::path::Path;
use std::time::Duration;

use io_gateway::config::DatabaseLimits;
use io_gateway::history;
use sqlx::migrate::Migrator;
use sqlx::{AssertSqlSafe, PgPool};
use xtask::private_servers::Server;

pub struct MigratedPostgres {
    pub pool: PgPool,
    server: Server,
}

impl MigratedPostgres {
    pub async fn start() -> Self {
        let server = Server::postgres("gateway").unwrap();
        let limits = DatabaseLimits { connections_max: 4, timeout: Duration::from_secs(1) };
        let pool = history::pool(&server.url, &limits).unwrap();
        let migrations = Path::new(env!("CARGO_MANIFEST_DIR")).join("../db-sink/migrations");
        Migrator::new(migrations).await.unwrap().run(&pool).await.unwrap();
        MigratedPostgres { pool, server }
    }

    pub fn url(&self) -> &str {
        &self.server.url
    }

    pub async fn execute(&self, sql: &str) {
        sqlx::query(AssertSqlSafe(sql)).execute(&self.pool).await.unwrap();
    }
}
