//! What an account has and what it pays.

use std::collections::BTreeMap;

use axum::extract::{RawQuery, State};
use axum::response::Response;
use protocol::{AccountId, Catalog, FeeRate, text};
use rust_decimal::Decimal;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::json;
use crate::app::SharedApp;
use crate::auth::Instruction;
use crate::body::BoundedBody;
use crate::caller::Caller;
use crate::error::ApiError;
use crate::openapi::bodies::UpdateAccount;
use crate::openapi::values::{DecimalText, NoAmount, NoMargin};
use crate::order_json::asset;
use crate::parameters::Parameters;

pub fn routes() -> OpenApiRouter<SharedApp> {
    OpenApiRouter::new().routes(routes!(capital)).routes(routes!(account, update_account))
}

#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Balance)]
pub(super) struct BalanceJson {
    #[schema(value_type = DecimalText)]
    available: String,
    #[schema(value_type = DecimalText)]
    locked: String,
    #[schema(value_type = NoAmount)]
    staked: &'static str,
}

/// What the account has, by asset it ever held.
#[utoipa::path(
    get, path = "/api/v1/capital", operation_id = "getCapital", tag = "Account",
    extensions(("x-instruction" = json!(Instruction::BalanceQuery.name()))),
    responses((status = 200, description = "Success", body = BTreeMap<String, BalanceJson>)),
)]
async fn capital(
    State(app): State<SharedApp>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let (account, _) =
        app.signed_query(&caller, Instruction::BalanceQuery, query.as_deref()).await?;
    json(&capital_json(&app, account).await?)
}

/// By asset, every one the account ever held.
pub(super) async fn capital_json(
    app: &SharedApp,
    account: AccountId,
) -> Result<BTreeMap<&str, BalanceJson>, ApiError> {
    let mut capital = BTreeMap::new();
    for balance in app.queries.balances(account).await? {
        let asset = asset(&app.catalog, balance.asset)?;
        let units = |units: protocol::Units| text::units(u128::from(units.0), asset);
        let json = BalanceJson {
            available: units(balance.available),
            locked: units(balance.locked),
            staked: "0",
        };
        capital.insert(asset.symbol.as_str(), json);
    }
    Ok(capital)
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Account)]
struct AccountJson {
    auto_borrow_settlements: bool,
    auto_lend: bool,
    auto_realize_pnl: bool,
    auto_repay_borrows: bool,
    #[schema(value_type = NoAmount)]
    borrow_limit: &'static str,
    #[schema(value_type = NoAmount)]
    futures_maker_fee: &'static str,
    #[schema(value_type = NoAmount)]
    futures_taker_fee: &'static str,
    #[schema(value_type = NoMargin)]
    leverage_limit: &'static str,
    limit_orders: usize,
    liquidating: bool,
    #[schema(value_type = NoAmount)]
    position_limit: &'static str,
    #[schema(value_type = DecimalText)]
    spot_maker_fee: String,
    #[schema(value_type = DecimalText)]
    spot_taker_fee: String,
    trigger_orders: usize,
}

/// Fees and settings.
#[utoipa::path(
    get, path = "/api/v1/account", operation_id = "getAccount", tag = "Account",
    extensions(("x-instruction" = json!(Instruction::AccountQuery.name()))),
    responses((status = 200, description = "Success", body = AccountJson)),
)]
async fn account(
    State(app): State<SharedApp>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let (account, _) =
        app.signed_query(&caller, Instruction::AccountQuery, query.as_deref()).await?;
    let orders = app.queries.open_orders(account, None).await?;
    let trigger_orders = orders.iter().filter(|order| order.resting().is_none()).count();
    json(&AccountJson {
        auto_borrow_settlements: false,
        auto_lend: false,
        auto_realize_pnl: false,
        auto_repay_borrows: false,
        borrow_limit: "0",
        futures_maker_fee: "0",
        futures_taker_fee: "0",
        leverage_limit: "1",
        limit_orders: orders.len() - trigger_orders,
        liquidating: false,
        position_limit: "0",
        spot_maker_fee: highest_fee(&app.catalog, |market| market.maker_fee),
        spot_taker_fee: highest_fee(&app.catalog, |market| market.taker_fee),
        trigger_orders,
    })
}

/// Basis points. The contract has one figure for all markets: what an account pays at most.
fn highest_fee(catalog: &Catalog, fee: fn(&protocol::MarketSpec) -> FeeRate) -> String {
    let highest = catalog.markets().iter().map(|market| fee(market).millionths).max();
    let mut out = String::new();
    text::push_trimmed(&mut out, u128::from(highest.unwrap_or(0)), 2);
    out
}

/// Margin is not traded here: only its being off can be asked for.
#[utoipa::path(
    patch, path = "/api/v1/account", operation_id = "updateAccount", tag = "Account",
    extensions(("x-instruction" = json!(Instruction::AccountUpdate.name()))),
    request_body = Option<UpdateAccount>,
    responses((status = 200, description = "Success")),
)]
async fn update_account(
    State(app): State<SharedApp>,
    caller: Caller,
    BoundedBody(body): BoundedBody,
) -> Result<(), ApiError> {
    let parameters = [Parameters::from_body(&body)?];
    app.signed(&caller, Instruction::AccountUpdate, &parameters).await?;
    for name in ["autoBorrowSettlements", "autoLend", "autoRepayBorrows"] {
        if parameters[0].flag(name)? == Some(true) {
            return Err(ApiError::not_implemented(name));
        }
    }
    match parameters[0].decimal("leverageLimit")? {
        None => Ok(()),
        Some(Err(error)) => Err(ApiError::field("leverageLimit", error)),
        Some(Ok(limit)) if limit == Decimal::ONE => Ok(()),
        Some(Ok(_)) => Err(ApiError::not_implemented("leverageLimit")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    #[test]
    fn fees_are_told_in_basis_points() {
        let catalog = fixture::catalog();
        assert_eq!(highest_fee(&catalog, |market| market.maker_fee), "8");
        assert_eq!(highest_fee(&catalog, |market| market.taker_fee), "10");
    }
}
