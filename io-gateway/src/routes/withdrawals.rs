//! What leaves the account: asked for, debited at once, and confirmed when the database has the
//! debit. Custody is simulated, so nothing goes anywhere.

use axum::extract::{RawQuery, State};
use axum::response::Response;
use protocol::{
    AccountId, Action, AssetSpec, Catalog, MarketId, Transfer, TransferId, Units, text,
};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::paging::{Page, Period};
use super::{json, json_text};
use crate::admission;
use crate::app::{App, SharedApp};
use crate::auth::Instruction;
use crate::body::BoundedBody;
use crate::caller::Caller;
use crate::chains::{self, Chain};
use crate::error::{ApiError, Body as Refused, Code};
use crate::null::Null;
use crate::openapi::bodies::RequestWithdrawal;
use crate::openapi::queries::WithdrawalsQuery;
use crate::openapi::values::{AssetSymbol, DecimalText, Moment};
use crate::order_json::{asset, naive_time};
use crate::parameters::{Parameters, Value};
use crate::transfers::{
    Destination, Requested, WITHDRAWAL_MIN, Wanted, Withdrawal, WithdrawalRequest, transfer_of,
};

pub const CLIENT_ID_CHARS_MAX: usize = 255;
/// Where a withdrawal went that no client asked for.
const OPERATOR: &str = "administrator";

pub fn routes() -> OpenApiRouter<SharedApp> {
    OpenApiRouter::new().routes(routes!(withdrawals, withdraw))
}

#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Withdrawal)]
struct WithdrawalJson<'c> {
    id: i32,
    blockchain: String,
    #[schema(required)]
    client_id: Option<String>,
    identifier: Null,
    #[schema(value_type = DecimalText)]
    quantity: String,
    #[schema(value_type = DecimalText)]
    fee: String,
    #[schema(value_type = AssetSymbol)]
    symbol: &'c str,
    status: &'static str,
    to_address: String,
    #[schema(value_type = Moment)]
    created_at: String,
    is_internal: bool,
    transaction_hash: Null,
    fiat_fee: Null,
    fiat_state: Null,
    fiat_symbol: Null,
    provider_id: Null,
    subaccount_id: Null,
    bank_name: Null,
    bank_identifier: Null,
    account_identifier: Null,
    trigger_at: Null,
}

/// What left the account, newest first.
#[utoipa::path(
    get, path = "/wapi/v1/capital/withdrawals", operation_id = "getWithdrawals", tag = "Account",
    extensions(("x-instruction" = json!(Instruction::WithdrawalQueryAll.name()))),
    params(WithdrawalsQuery),
    responses((status = 200, description = "Success", body = Vec<WithdrawalJson<'static>>)),
)]
async fn withdrawals(
    State(app): State<SharedApp>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let (account, parameters) =
        app.signed_query(&caller, Instruction::WithdrawalQueryAll, query.as_deref()).await?;
    let Page { limit, offset } = Page::read(&parameters)?;
    let Period { from, until } = Period::read(&parameters)?;
    let id = parameters.unsigned("id")?;
    let number = id.and_then(|id| i32::try_from(id).ok());
    let client_id = client_id(&parameters)?;
    if until <= from || limit == 0 || id.is_some() && number.is_none() {
        return Ok(json_text("[]".to_owned()));
    }
    let transfer = client_id.map(|client_id| transfer_of(account, &client_id));
    let wanted = Wanted { account, from, until, limit, offset };
    let mut rows = Vec::new();
    for withdrawal in app.transfers.withdrawals(&wanted, number, transfer).await? {
        rows.push(withdrawal_json(withdrawal, &app.catalog)?);
    }
    json(&rows)
}

fn withdrawal_json(
    withdrawal: Withdrawal,
    catalog: &Catalog,
) -> Result<WithdrawalJson<'_>, ApiError> {
    let asset = asset(catalog, withdrawal.asset)?;
    let units = |units: Units| text::units(u128::from(units.0), asset);
    let is_internal = withdrawal.destination.is_none();
    let Destination { blockchain, address } = withdrawal.destination.unwrap_or_else(|| {
        Destination { blockchain: asset.blockchain.clone(), address: OPERATOR.to_owned() }
    });
    Ok(WithdrawalJson {
        id: withdrawal.number,
        blockchain,
        client_id: withdrawal.client_id,
        identifier: Null,
        quantity: units(withdrawal.units),
        fee: units(withdrawal.fee),
        symbol: &asset.symbol,
        status: if withdrawal.is_confirmed { "confirmed" } else { "pending" },
        to_address: address,
        created_at: naive_time(withdrawal.at),
        is_internal,
        transaction_hash: Null,
        fiat_fee: Null,
        fiat_state: Null,
        fiat_symbol: Null,
        provider_id: Null,
        subaccount_id: Null,
        bank_name: Null,
        bank_identifier: Null,
        account_identifier: Null,
        trigger_at: Null,
    })
}

/// Takes an amount out of the account at once.
///
/// Custody is simulated: nothing goes anywhere. With a `clientId` it happens once.
#[utoipa::path(
    post, path = "/wapi/v1/capital/withdrawals", operation_id = "requestWithdrawal",
    tag = "Account",
    extensions(("x-instruction" = json!(Instruction::Withdraw.name()))),
    request_body = RequestWithdrawal,
    responses(
        (status = 200, description = "Success", body = WithdrawalJson<'static>),
        (status = 409, body = Refused,
            description = "The `clientId` was used before with other content"),
    ),
)]
async fn withdraw(
    State(app): State<SharedApp>,
    caller: Caller,
    BoundedBody(body): BoundedBody,
) -> Result<Response, ApiError> {
    let parameters = [Parameters::from_body(&body)?];
    let account = app.signed(&caller, Instruction::Withdraw, &parameters).await?;
    let request = request(&parameters[0], &app.catalog, account)?;
    let worker = SharedApp::clone(&app);
    let withdrawal = app.detached(async move { carry_out(&worker, &request).await }).await?;
    json(&withdrawal_json(withdrawal, &app.catalog)?)
}

fn request(
    parameters: &Parameters<'_>,
    catalog: &Catalog,
    account: AccountId,
) -> Result<WithdrawalRequest, ApiError> {
    let symbol = parameters.required_text("symbol")?;
    let asset = catalog.asset_by_symbol(symbol).ok_or_else(unknown_asset)?;
    let blockchain = chain(parameters, asset)?;
    let address = parameters.required_text("address")?;
    if !chains::is_address(address) {
        let rule = format!("must be 1 to {} printable characters", chains::ADDRESS_CHARS_MAX);
        return Err(ApiError::field("address", rule));
    }
    let units = admission::amount(parameters, asset)?;
    if units < WITHDRAWAL_MIN {
        return Err(ApiError::new(Code::InvalidQuantity, "quantity: below the minimum withdrawal"));
    }
    let client_id = client_id(parameters)?;
    for name in ["autoBorrow", "autoLendRedeem"] {
        parameters.flag(name)?;
    }
    let transfer = match &client_id {
        Some(client_id) => transfer_of(account, client_id),
        None => TransferId(rand::random()),
    };
    let destination = Destination { blockchain, address: address.to_owned() };
    Ok(WithdrawalRequest { account, asset: asset.id, units, destination, client_id, transfer })
}

pub(super) fn unknown_asset() -> ApiError {
    ApiError::new(Code::InvalidAsset, "symbol: is not a listed asset")
}

/// A chain that the asset is on, as the list of assets tells.
fn chain(parameters: &Parameters<'_>, asset: &AssetSpec) -> Result<String, ApiError> {
    let name = parameters.required_text("blockchain")?;
    if name == asset.blockchain {
        return Ok(name.to_owned());
    }
    Err(match Chain::from_name(name) {
        None => ApiError::field("blockchain", "is unknown"),
        Some(_) => {
            let rule = format!("{} is on {} alone", asset.symbol, asset.blockchain);
            ApiError::field("blockchain", rule)
        }
    })
}

/// A string; one client sends a number.
fn client_id(parameters: &Parameters<'_>) -> Result<Option<String>, ApiError> {
    let rule = "must be a string of 1 to 255 characters, or a number";
    let text = match parameters.get("clientId")? {
        None => return Ok(None),
        Some(Value::Text(text)) => &**text,
        Some(Value::Number(token)) => token,
        Some(_) => return Err(ApiError::field("clientId", rule)),
    };
    let fits = (1..=CLIENT_ID_CHARS_MAX).contains(&text.chars().count());
    if !fits || text.chars().any(char::is_control) {
        return Err(ApiError::field("clientId", rule));
    }
    Ok(Some(text.to_owned()))
}

/// Writes the request down, has the engine debit it, and notes that; a repetition finds what was
/// written, and the engine debits a transfer once.
async fn carry_out(app: &App, request: &WithdrawalRequest) -> Result<Withdrawal, ApiError> {
    let known = match request.client_id {
        Some(_) => app.transfers.requested(request.transfer).await?,
        None => None,
    };
    let written = match known {
        Some(known) if known.is_debited || !known.is_same(request) => known,
        known => {
            if known.is_none() {
                refuse_beyond_means(app, request).await?;
            }
            app.transfers.request(request).await?
        }
    };
    if !written.is_same(request) {
        return Err(named_before());
    }
    let Requested { withdrawal, is_debited } = written;
    if is_debited {
        return Ok(withdrawal);
    }
    let WithdrawalRequest { account, asset, units, transfer: id, .. } = *request;
    let action = Action::Withdraw(Transfer { account, asset, units, id });
    match app.submissions.submit(MarketId::ACCOUNTS, action).await {
        Ok(_) => {
            app.transfers.note_debited(withdrawal.number).await;
            Ok(withdrawal)
        }
        Err(error) => {
            // After these it may have happened, or may yet.
            if !matches!(error.code, Code::Timeout | Code::ServerError) {
                app.transfers.forget(withdrawal.number).await;
            }
            let is_taken = error.code == Code::PreconditionFailed;
            Err(if is_taken { named_before() } else { error })
        }
    }
}

/// So that a request that cannot be met is not even written down. The engine decides all the same.
async fn refuse_beyond_means(app: &App, request: &WithdrawalRequest) -> Result<(), ApiError> {
    let balances = app.queries.balances(request.account).await?;
    let balance = balances.iter().find(|balance| balance.asset == request.asset);
    if balance.is_some_and(|balance| request.units <= balance.available) {
        return Ok(());
    }
    Err(protocol::Refusal::InsufficientFunds.into())
}

fn named_before() -> ApiError {
    ApiError::new(Code::PreconditionFailed, "clientId: used before with other content")
}
