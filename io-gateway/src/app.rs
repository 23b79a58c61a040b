//! What every handler shares.

use std::future::Future;
use std::ops::Deref;
use std::sync::Arc;

use protocol::catalog_json::Known;
use protocol::{Catalog, MarketId};
use service::SharedCatalog;
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

use crate::audit::Audit;
use crate::book_states::BookStates;
use crate::browser_accounts::BrowserAccounts;
use crate::config::{Config, DatabaseLimits, HttpLimits};
use crate::error::{ApiError, GatewayError};
use crate::history::{self, History};
use crate::keys::KeyCache;
use crate::limits::Limits;
use crate::link::EngineLink;
use crate::past_fills::PastFills;
use crate::past_orders::PastOrders;
use crate::queries::Queries;
use crate::submission::Submissions;
use crate::transfers::Transfers;

/// What lives as long as the process.
pub struct App {
    /// What is listed, as it changes.
    pub listing: SharedCatalog,
    pub http: HttpLimits,
    pub limits: Limits,
    pub link: Arc<EngineLink>,
    pub submissions: Submissions,
    pub queries: Queries,
    pub book_states: BookStates,
    pub keys: KeyCache,
    pub browser: BrowserAccounts,
    /// Turns in which signatures are verified.
    ///
    /// One verification takes 41 us (`verify_strict`, release, p50 on a shared cloud core; 43 us
    /// for 2 kB signed, 145 us for the longest body), and a request has at most two, a batch as
    /// well. That is what a trip to another thread and back is worth on a busy machine, and no
    /// longer than a task may run between two awaits; so it happens in place. But a flood of
    /// signatures must not fill every worker while replies of the engine wait, so they take turns,
    /// one for every two workers; who waits for a turn waits without a thread.
    pub verifications: Semaphore,
    pub history: History,
    pub past_orders: PastOrders,
    pub past_fills: PastFills,
    pub transfers: Transfers,
    pub audit: Audit,
    pub admin_token: Option<String>,
    pub ws_url: Option<String>,
    /// What has an effect and must finish even if its client has hung up.
    pub tasks: TaskTracker,
}

/// Connections of their own: however much history is read, a revoked key or session must be seen
/// in time.
const FOLLOWING_CONNECTIONS: u32 = 1;
const SIGN_IN_CONNECTIONS: u32 = 4;

/// What was listed at one moment; a [`Catalog`] for most.
pub struct CatalogNow(Arc<Known>);

impl CatalogNow {
    /// When a market was listed that the config does not list.
    pub fn listed_us(&self, market: MarketId) -> Option<u64> {
        self.0.listed_us.get(&market).copied()
    }
}

impl Deref for CatalogNow {
    type Target = Catalog;

    fn deref(&self) -> &Catalog {
        &self.0.catalog
    }
}

/// What a handler is given: everything, and the catalog as it was when the request came.
pub struct SharedApp {
    pub catalog: CatalogNow,
    app: Arc<App>,
}

impl SharedApp {
    pub fn new(app: Arc<App>) -> SharedApp {
        SharedApp { catalog: CatalogNow(app.listing.get()), app }
    }
}

/// With the latest catalog: the router clones one for each request.
impl Clone for SharedApp {
    fn clone(&self) -> SharedApp {
        SharedApp::new(Arc::clone(&self.app))
    }
}

impl Deref for SharedApp {
    type Target = App;

    fn deref(&self) -> &App {
        &self.app
    }
}

impl App {
    /// Connects to nothing yet.
    #[expect(clippy::new_ret_no_self, reason = "what is made is shared from its beginning")]
    pub fn new(config: &Config) -> Result<SharedApp, GatewayError> {
        let listing = SharedCatalog::new(config.catalog.clone());
        let engine = config.engine.clone();
        let link = EngineLink::new(&config.redis_url, listing.clone(), config.gateway, engine)?;
        let link = Arc::new(link);
        let queries = Queries::new(Arc::clone(&link));
        let pool = history::pool(&config.database_url, &config.database)?;
        let connections = |connections_max| {
            let limits = DatabaseLimits { connections_max, ..config.database.clone() };
            history::pool(&config.database_url, &limits)
        };
        let workers = std::thread::available_parallelism().map_or(1, usize::from);
        Ok(SharedApp::new(Arc::new(App {
            http: config.http.clone(),
            limits: Limits::new(&config.limits),
            submissions: Submissions::new(Arc::clone(&link)),
            book_states: BookStates::new(queries.clone()),
            queries,
            link,
            keys: KeyCache::new(pool.clone(), connections(FOLLOWING_CONNECTIONS)?),
            browser: BrowserAccounts::new(connections(SIGN_IN_CONNECTIONS)?, config),
            verifications: Semaphore::new((workers / 2).max(1)),
            history: History::new(pool.clone()),
            past_orders: PastOrders::new(pool.clone(), listing.clone()),
            past_fills: PastFills::new(pool.clone()),
            transfers: Transfers::new(pool.clone()),
            audit: Audit::new(pool),
            admin_token: config.admin_token.clone(),
            ws_url: config.ws_url.clone(),
            tasks: TaskTracker::new(),
            listing,
        })))
    }

    /// Runs what has an effect to its end, also when the caller is dropped.
    pub async fn detached<T: Send + 'static>(
        &self,
        effect: impl Future<Output = Result<T, ApiError>> + Send + 'static,
    ) -> Result<T, ApiError> {
        self.tasks.spawn(effect).await.map_err(ApiError::bug)?
    }
}
