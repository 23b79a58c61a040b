//! What every handler shares.

use std::future::Future;
use std::ops::Deref;
use std::sync::Arc;

use axum::http::HeaderMap;
use protocol::catalog_json::Known;
use protocol::{AccountId, Catalog, MarketId};
use service::SharedCatalog;
use tokio_util::task::TaskTracker;

use crate::audit::Audit;
use crate::auth::{Credentials, Instruction};
use crate::book_states::BookStates;
use crate::clock::now_ms;
use crate::config::{Config, HttpLimits};
use crate::error::{ApiError, GatewayError};
use crate::history::{self, History};
use crate::keys::KeyCache;
use crate::link::EngineLink;
use crate::parameters::Parameters;
use crate::past_orders::PastOrders;
use crate::queries::Queries;
use crate::submission::Submissions;

/// What lives as long as the process.
pub struct App {
    /// What is listed, as it changes.
    pub listing: SharedCatalog,
    pub http: HttpLimits,
    pub link: Arc<EngineLink>,
    pub submissions: Submissions,
    pub queries: Queries,
    pub book_states: BookStates,
    pub keys: KeyCache,
    pub history: History,
    pub past_orders: PastOrders,
    pub audit: Audit,
    pub admin_token: Option<String>,
    pub ws_url: Option<String>,
    /// What has an effect and must finish even if its client has hung up.
    pub tasks: TaskTracker,
}

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
        Ok(SharedApp::new(Arc::new(App {
            http: config.http.clone(),
            submissions: Submissions::new(Arc::clone(&link)),
            book_states: BookStates::new(queries.clone()),
            queries,
            link,
            keys: KeyCache::new(pool.clone()),
            history: History::new(pool.clone()),
            past_orders: PastOrders::new(pool.clone(), listing.clone()),
            audit: Audit::new(pool),
            admin_token: config.admin_token.clone(),
            ws_url: config.ws_url.clone(),
            tasks: TaskTracker::new(),
            listing,
        })))
    }

    /// The account that signed a request: one set of parameters, or one an order of a batch.
    pub async fn signed(
        &self,
        headers: &HeaderMap,
        instruction: Instruction,
        parameters: &[Parameters<'_>],
    ) -> Result<AccountId, ApiError> {
        let credentials = Credentials::read(headers, now_ms())?;
        let key = self.keys.get(&credentials.key).await?;
        credentials.verify(&key.verifying, instruction, parameters)?;
        Ok(key.account)
    }

    /// As [`App::signed`], of a request whose parameters are its query; with these.
    pub async fn signed_query<'q>(
        &self,
        headers: &HeaderMap,
        instruction: Instruction,
        query: Option<&'q str>,
    ) -> Result<(AccountId, Parameters<'q>), ApiError> {
        let parameters = [Parameters::from_query(query.unwrap_or_default())?];
        let account = self.signed(headers, instruction, &parameters).await?;
        let [parameters] = parameters;
        Ok((account, parameters))
    }

    /// Runs what has an effect to its end, also when the caller is dropped.
    pub async fn detached<T: Send + 'static>(
        &self,
        effect: impl Future<Output = Result<T, ApiError>> + Send + 'static,
    ) -> Result<T, ApiError> {
        self.tasks.spawn(effect).await.map_err(ApiError::bug)?
    }
}
