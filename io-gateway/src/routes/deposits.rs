//! What came into the account, and where it could be sent: simulated custody.

use axum::extract::{RawQuery, State};
use axum::response::Response;
use protocol::{AssetSpec, text};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::paging::{Page, Period};
use super::{json, json_text};
use crate::app::SharedApp;
use crate::auth::Instruction;
use crate::caller::Caller;
use crate::chains::Chain;
use crate::error::ApiError;
use crate::null::Null;
use crate::openapi::queries::{ChainQuery, PeriodQuery};
use crate::openapi::values::{AssetSymbol, DecimalText, Moment};
use crate::order_json::{asset, naive_time};
use crate::transfers::{Deposit, Wanted};

pub fn routes() -> OpenApiRouter<SharedApp> {
    OpenApiRouter::new().routes(routes!(deposits)).routes(routes!(address))
}

/// Whoever funds an account here, it is the operator.
const SOURCE: &str = "administrator";

#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Deposit)]
struct DepositJson<'c> {
    id: i32,
    source: &'static str,
    status: &'static str,
    #[schema(value_type = AssetSymbol)]
    symbol: &'c str,
    #[schema(value_type = DecimalText)]
    quantity: String,
    #[schema(value_type = Moment)]
    created_at: String,
    to_address: Null,
    from_address: Null,
    transaction_hash: Null,
    fiat_amount: Null,
    fiat_currency: Null,
    institution_bic: Null,
    platform_memo: Null,
}

/// What came into the account, newest first.
#[utoipa::path(
    get, path = "/wapi/v1/capital/deposits", operation_id = "getDeposits", tag = "Account",
    extensions(("x-instruction" = json!(Instruction::DepositQueryAll.name()))),
    params(PeriodQuery),
    responses((status = 200, description = "Success", body = Vec<DepositJson<'static>>)),
)]
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

#[derive(Serialize, ToSchema)]
#[schema(as = DepositAddress)]
struct AddressJson {
    address: String,
}

/// Where it could be sent. Custody is simulated: nothing is watched there.
#[utoipa::path(
    get, path = "/wapi/v1/capital/deposit/address", operation_id = "getDepositAddress",
    tag = "Account",
    extensions(("x-instruction" = json!(Instruction::DepositAddressQuery.name()))),
    params(ChainQuery),
    responses((status = 200, description = "Success", body = AddressJson)),
)]
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
