//! What every handler shares.

use std::future::Future;
use std::sync::Arc;
use std::time::Instant;

use axum::http::HeaderMap;
use protocol::{AccountId, Catalog};
use tokio_util::task::TaskTracker;

use crate::audit::Audit;
use crate::auth::{Credentials, Instruction};
use crate::book_states::BookStates;
use crate::clock::now_ms;
use crate::config::{Config, HttpLimits};
use crate::error::{ApiError, GatewayError};
use crate::history::{self, History};
use crate::keys::KeyCache;
use crate::limits::{Limits, weights};
use crate::link::EngineLink;
use crate::parameters::Parameters;
use crate::past_orders::PastOrders;
use crate::queries::Queries;
use crate::submission::Submissions;

pub struct App {
    pub catalog: Catalog,
    pub http: HttpLimits,
    pub limits: Limits,
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

pub type SharedApp = Arc<App>;

impl App {
    /// Connects to nothing yet.
    pub fn new(config: &Config) -> Result<SharedApp, GatewayError> {
        let engine = config.engine.clone();
        let (redis_url, catalog) = (&config.redis_url, &config.catalog);
        let link = EngineLink::new(redis_url, catalog, config.gateway, engine)?;
        let link = Arc::new(link);
        let queries = Queries::new(Arc::clone(&link));
        let pool = history::pool(&config.database_url, &config.database)?;
        Ok(Arc::new(App {
            catalog: config.catalog.clone(),
            http: config.http.clone(),
            limits: Limits::new(&config.limits),
            submissions: Submissions::new(Arc::clone(&link)),
            book_states: BookStates::new(queries.clone()),
            queries,
            link,
            keys: KeyCache::new(pool.clone()),
            history: History::new(pool.clone()),
            past_orders: PastOrders::new(pool.clone(), &config.catalog),
            audit: Audit::new(pool),
            admin_token: config.admin_token.clone(),
            ws_url: config.ws_url.clone(),
            tasks: TaskTracker::new(),
        }))
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
        let began = Instant::now();
        let verified = credentials.verify(&key.verifying, instruction, parameters);
        metrics::histogram!("gateway_verify_seconds").record(began.elapsed());
        verified?;
        let weight = weights::of_signed(instruction, parameters.len());
        self.limits.take_of_signer(&credentials.key, key.account, weight)?;
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
