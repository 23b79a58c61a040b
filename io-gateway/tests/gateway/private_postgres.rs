//! A PostgreSQL server of the test's own, with the exchange's migrations.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use io_gateway::config::DatabaseLimits;
use io_gateway::history;
use sqlx::migrate::Migrator;
use sqlx::{AssertSqlSafe, PgPool};

pub struct PrivatePostgres {
    process: Child,
    folder: PathBuf,
    pub url: String,
    pub pool: PgPool,
}

/// PostgreSQL refuses to run as root; then it runs as its own user.
fn as_postgres(program: &Path) -> Command {
    let root = Command::new("id").arg("-u").output().unwrap().stdout == b"0\n";
    if !root {
        return Command::new(program);
    }
    let mut command = Command::new("runuser");
    command.args(["-u", "postgres", "--"]).arg(program).current_dir("/tmp");
    command
}

/// The newest that Debian's packages installed.
fn binaries() -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").unwrap();
    let versions = versions.map(|entry| entry.unwrap().path().join("bin"));
    versions.filter(|bin| bin.join("initdb").exists()).max().unwrap()
}

impl PrivatePostgres {
    pub async fn start() -> Self {
        let binaries = binaries();
        let made =
            as_postgres(Path::new("mktemp")).args(["-d", "-t", "gateway-test-XXXXXX"]).output();
        let folder = PathBuf::from(String::from_utf8(made.unwrap().stdout).unwrap().trim());
        let made = as_postgres(&binaries.join("initdb"))
            .arg("-D")
            .arg(&folder)
            .args(["-A", "trust", "-U", "gateway", "--no-sync"])
            .stdout(Stdio::null())
            .status();
        assert!(made.unwrap().success());
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let process = as_postgres(&binaries.join("postgres"))
            .arg("-D")
            .arg(&folder)
            .args(["-p", &port.to_string(), "-h", "127.0.0.1", "-k", "", "-F"])
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let limits = DatabaseLimits { connections_max: 4, timeout: Duration::from_secs(1) };
        let url = format!("postgres://gateway@127.0.0.1:{port}/postgres");
        let pool = history::pool(&url, &limits).unwrap();
        for _ in 0..100 {
            if pool.acquire().await.is_ok() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let migrations = Path::new(env!("CARGO_MANIFEST_DIR")).join("../db-sink/migrations");
        Migrator::new(migrations).await.unwrap().run(&pool).await.unwrap();
        PrivatePostgres { process, folder, url, pool }
    }

    pub async fn execute(&self, sql: &str) {
        sqlx::query(AssertSqlSafe(sql)).execute(&self.pool).await.unwrap();
    }
}

impl Drop for PrivatePostgres {
    fn drop(&mut self) {
        // runuser passes SIGTERM on, which asks PostgreSQL to wait for its clients; SIGQUIT does
        // not, but needs the server's own process.
        let pid = std::fs::read_to_string(self.folder.join("postmaster.pid")).unwrap_or_default();
        if let Some(pid) = pid.lines().next() {
            Command::new("kill").args(["-QUIT", pid]).status().unwrap();
        }
        self.process.wait().unwrap();
        std::fs::remove_dir_all(&self.folder).unwrap();
    }
}
