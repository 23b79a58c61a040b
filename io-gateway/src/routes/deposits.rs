//! What came into the account, and where it could be sent: simulated custody.

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::response::Response;
use axum::routing::get;
use protocol::{AssetSpec, text};
use serde::Serialize;

use super::paging::{Page, Period};
use super::{json, json_text};
use crate::app::SharedApp;
use crate::auth::Instruction;
use crate::caller::Caller;
use crate::chains::Chain;
use crate::error::ApiError;
use crate::order_json::{Null, asset, naive_time};
use crate::transfers::{Deposit, Wanted};

pub fn routes() -> Router<SharedApp> {
    Router::new()
        .route("/wapi/v1/capital/deposits", get(deposits))
        .route("/wapi/v1/capital/deposit/address", get(address))
}

/// Whoever funds an account here, it is the operator.
const SOURCE: &str = "administrator";

#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct DepositJson<'c> {
    id: i32,
    source: &'static str,
    status: &'static str,
    symbol: &'c str,
    quantity: String,
    created_at: String,
    to_address: Null,
    from_address: Null,
    transaction_hash: Null,
    fiat_amount: Null,
    fiat_currency: Null,
    institution_bic: Null,
    platform_memo: Null,
}

async fn deposits(
    State(app): State<SharedApp>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let (account, parameters) =
        app.signed_query(&caller, Instruction::DepositQueryAll, query.as_deref()).await?;
    let Page { limit, offset } = Page::read(&parameters)?;
    let Period { from, until } = Period::read(&parameters)?;
    if until <= from || limit == 0 {
        return Ok(json_text("[]".to_owned()));
    }
    let wanted = Wanted { account, from, until, limit, offset };
    let mut rows = Vec::new();
    for deposit in &app.transfers.deposits(&wanted).await? {
        rows.push(deposit_json(deposit, asset(&app.catalog, deposit.asset)?));
    }
    json(&rows)
}

fn deposit_json<'c>(deposit: &Deposit, asset: &'c AssetSpec) -> DepositJson<'c> {
    DepositJson {
        id: deposit.number,
        source: SOURCE,
        status: "confirmed",
        symbol: &asset.symbol,
        quantity: text::units(u128::from(deposit.units.0), asset),
        created_at: naive_time(deposit.at),
        to_address: Null,
        from_address: Null,
        transaction_hash: Null,
        fiat_amount: Null,
        fiat_currency: Null,
        institution_bic: Null,
        platform_memo: Null,
    }
}

#[derive(Serialize)]
struct AddressJson {
    address: String,
}

async fn address(
    State(app): State<SharedApp>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let (account, parameters) =
        app.signed_query(&caller, Instruction::DepositAddressQuery, query.as_deref()).await?;
    let name = parameters.required_text("blockchain")?;
    let chain =
        Chain::from_name(name).ok_or_else(|| ApiError::field("blockchain", "is unknown"))?;
    json(&AddressJson { address: chain.deposit_address(account) })
}
