//! One TimescaleDB for all tests of this target, which take turns: it has one session.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::Duration;

use db_sink::database::Database;
use db_sink::{Timescale, TimescaleMode, migrate};
use protocol::Catalog;
use service::ExchangeFile;
use sqlx::{Connection, PgConnection};
use tokio::sync::OwnedMutexGuard;

/// Slow where many other things run; a statement under it is never the point of a test.
pub const PATIENCE: Duration = Duration::from_secs(120);

const FILES: [(&str, &str); 3] = [
    ("package.json", include_str!("package.json")),
    ("package-lock.json", include_str!("package-lock.json")),
    ("server.mjs", include_str!("server.mjs")),
];

struct Server {
    process: Child,
    url: String,
    turn: Arc<tokio::sync::Mutex<()>>,
}

impl Drop for Server {
    fn drop(&mut self) {
        // Its standard input closes with this process, too, however that ends.
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

impl Server {
    fn start(folder: &Path) -> Server {
        let mut command = Command::new("node");
        command.arg("server.mjs").current_dir(folder);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let mut port = String::new();
        let stdout = process.stdout.take().unwrap();
        BufReader::new(stdout).read_line(&mut port).unwrap();
        let port = port.trim();
        let url = format!("postgres://postgres:any@127.0.0.1:{port}/postgres?sslmode=disable");
        Server { process, url, turn: Arc::default() }
    }
}

/// The server while any test uses it; `None` where its packages cannot be had.
fn shared() -> Option<Arc<Server>> {
    static FOLDER: OnceLock<Option<PathBuf>> = OnceLock::new();
    static SHARED: Mutex<Weak<Server>> = Mutex::new(Weak::new());
    let folder = FOLDER.get_or_init(installed).as_ref()?;
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    Some(shared.upgrade().unwrap_or_else(|| {
        let fresh = Arc::new(Server::start(folder));
        *shared = Arc::downgrade(&fresh);
        fresh
    }))
}

/// Below `target/`, once for each content of the lock file.
fn installed() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("timescale");
    fs::create_dir_all(&folder).unwrap();
    for (name, content) in FILES {
        fs::write(folder.join(name), content).unwrap();
    }
    let stamp = folder.join("installed-from.json");
    let lock = folder.join("package-lock.json");
    if fs::read(&stamp).ok() == fs::read(&lock).ok() {
        return Some(folder);
    }
    let mut npm = Command::new("npm");
    npm.args(["ci", "--no-audit", "--no-fund", "--ignore-scripts"]);
    npm.args(["--fetch-retries=0", "--fetch-timeout=30000"]);
    npm.current_dir(&folder).stdin(Stdio::null()).stdout(Stdio::null());
    let output = npm.stderr(Stdio::piped()).output();
    let cause = match output {
        Ok(output) if output.status.success() => {
            fs::copy(&lock, &stamp).unwrap();
            return Some(folder);
        }
        Ok(output) => String::from_utf8_lossy(&output.stderr).into_owned(),
        Err(error) => error.to_string(),
    };
    // Past the harness, which shows only what failing tests print.
    let said = format!("LEFT OUT: tests on TimescaleDB, npm could not install it: {cause}\n");
    std::io::stderr().write_all(said.as_bytes()).unwrap();
    None
}

/// What a test runs in: an empty schema, and nobody else there.
pub struct World {
    server: Arc<Server>,
    _turn: OwnedMutexGuard<()>,
    pub catalog: Catalog,
}

impl World {
    pub async fn new() -> Option<World> {
        let server = tokio::task::spawn_blocking(shared).await.unwrap()?;
        let _turn = Arc::clone(&server.turn).lock_owned().await;
        let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("../exchange.toml");
        let catalog = ExchangeFile::load(&config).unwrap().catalog;
        let world = World { server, _turn, catalog };
        // Beside `public`, where the extension is.
        let empty = "DROP SCHEMA IF EXISTS exchange CASCADE; CREATE SCHEMA exchange";
        sqlx::raw_sql(empty).execute(&mut world.connect().await).await.unwrap();
        Some(world)
    }

    pub fn url(&self) -> &str {
        &self.server.url
    }

    /// Others wait until it is dropped, the sink's connections too.
    pub async fn connect(&self) -> PgConnection {
        PgConnection::connect(&self.server.url).await.unwrap()
    }

    pub fn database(&self) -> Database {
        Database::new(&self.server.url, PATIENCE).unwrap()
    }

    /// As at a start of the sink.
    pub async fn prepare(&self, mode: TimescaleMode, compress_after_days: Option<u32>) {
        let wanted = Timescale { mode, compress_after_days };
        migrate::prepare(&mut self.database(), wanted).await.unwrap();
    }
}
