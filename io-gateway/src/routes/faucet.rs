//! Demo funds for the account that is signed in; absent unless the faucet is on.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use protocol::{Action, MarketId, Outcome, text};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::json;
use crate::app::{App, SharedApp};
use crate::auth::Effect;
use crate::body::BoundedBody;
use crate::caller::Caller;
use crate::clock::now_ms;
use crate::error::{ApiError, Code};
use crate::faucet::{Grant, Visit};
use crate::openapi::bodies::AskFaucet;
use crate::openapi::values::{AccountIdText, AssetSymbol, DecimalText};
use crate::parameters::Parameters;

pub fn routes() -> OpenApiRouter<SharedApp> {
    OpenApiRouter::new().routes(routes!(give))
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = FaucetGrant)]
struct Given<'a> {
    #[schema(value_type = AccountIdText)]
    account_id: String,
    #[schema(value_type = AssetSymbol)]
    symbol: &'a str,
    #[schema(value_type = DecimalText)]
    quantity: String,
}

/// Gives demo funds, a fixed amount of each asset once a day (UTC); 429 when it has.
#[utoipa::path(
    post, path = "/auth/v1/faucet", operation_id = "askFaucet", tag = "Browser accounts",
    security(("session" = [], "csrfToken" = [])),
    request_body = AskFaucet,
    responses((status = 200, description = "Success", body = Given<'static>)),
)]
async fn give(
    State(app): State<SharedApp>,
    caller: Caller,
    BoundedBody(body): BoundedBody,
) -> Result<Response, ApiError> {
    let (_, session) = app.in_session(&caller, Effect::Changes).await?;
    let parameters = Parameters::from_body(&body)?;
    let symbol = parameters.required_text("symbol")?;
    let refuse = || ApiError::new(Code::InvalidAsset, "symbol: the faucet does not give this");
    let asset = app.catalog.asset_by_symbol(symbol).ok_or_else(refuse)?;
    let grant = app.browser.faucet.grant(session.account, asset.id, now_ms()).ok_or_else(refuse)?;
    let worker = app.clone();
    app.detached(async move { credit(&worker, grant).await }).await?;
    json(&Given {
        account_id: session.account.to_string(),
        symbol: &asset.symbol,
        quantity: text::units(u128::from(grant.units.0), asset),
    })
}

async fn credit(app: &App, grant: Grant) -> Result<(), ApiError> {
    let action = Action::Deposit(grant.transfer());
    let is_repeated = match app.submissions.submit(MarketId::ACCOUNTS, action).await {
        Ok(decision) => match decision.outcome {
            Outcome::Transferred => false,
            Outcome::Repeated { .. } => true,
            other => return Err(ApiError::bug(format_args!("a deposit became {other:?}"))),
        },
        // It was given today, before the operator changed the amount.
        Err(error) if error.code == Code::PreconditionFailed => return Err(come_back()),
        Err(error) => return Err(error),
    };
    match app.browser.faucet.note(grant).await {
        Ok(Visit::Again) if is_repeated => Err(come_back()),
        Ok(_) => Ok(()),
        // The account has its funds, whatever the table says.
        Err(error) if !is_repeated => {
            tracing::error!(account = %grant.account, ?error, "a grant was not written down");
            Ok(())
        }
        Err(error) => Err(error),
    }
}

fn come_back() -> ApiError {
    ApiError::new(Code::TooManyRequests, "symbol: was given today, come back tomorrow")
        .with_status(StatusCode::TOO_MANY_REQUESTS)
}
