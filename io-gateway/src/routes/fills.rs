//! The account's own side of its trades, from the database.

use axum::extract::{RawQuery, State};
use axum::response::Response;
use protocol::{AccountId, Catalog, MarketSpec, OrderId, Side, text};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::order_history::DIRECTIONS;
use super::paging::{Page, Period};
use super::{json, json_text, markets};
use crate::admission;
use crate::app::SharedApp;
use crate::auth::Instruction;
use crate::caller::Caller;
use crate::clock::now;
use crate::error::ApiError;
use crate::null::Null;
use crate::openapi::queries::FillsQuery;
use crate::openapi::values::{
    AssetSymbol, Count, DecimalText, Moment, OrderId as OrderIdForm, SideWord, Symbol, TradeNumber,
};
use crate::order_json::{asset, naive_time};
use crate::parameters::Parameters;
use crate::past_fills::{Fill, Wanted};
use crate::past_orders::SortDirection;

/// One client sends these; it signs them under the names it sends.
const ALIASES: [(&str, &str); 5] = [
    ("order_id", "orderId"),
    ("strategy_id", "strategyId"),
    ("fill_type", "fillType"),
    ("market_type", "marketType"),
    ("sort_direction", "sortDirection"),
];

pub fn routes() -> OpenApiRouter<SharedApp> {
    OpenApiRouter::new().routes(routes!(fills))
}

#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = PastFill)]
struct FillJson<'c> {
    #[schema(value_type = TradeNumber)]
    trade_id: i64,
    #[schema(value_type = OrderIdForm)]
    order_id: String,
    #[schema(value_type = Option<Count>, required)]
    client_id: Option<String>,
    #[schema(value_type = Symbol)]
    symbol: &'c str,
    #[schema(value_type = SideWord)]
    side: Side,
    #[schema(value_type = DecimalText)]
    price: String,
    #[schema(value_type = DecimalText)]
    quantity: String,
    #[schema(value_type = DecimalText)]
    fee: String,
    #[schema(value_type = AssetSymbol)]
    fee_symbol: &'c str,
    is_maker: bool,
    #[schema(value_type = Moment)]
    timestamp: String,
    system_order_type: Null,
}

/// The account's own side of its trades.
#[utoipa::path(
    get, path = "/wapi/v1/history/fills", operation_id = "getFills", tag = "Account",
    extensions(("x-instruction" = json!(Instruction::FillHistoryQueryAll.name()))),
    params(FillsQuery),
    responses((status = 200, description = "Success", body = Vec<FillJson<'static>>)),
)]
async fn fills(
    State(app): State<SharedApp>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let (account, parameters) =
        app.signed_query(&caller, Instruction::FillHistoryQueryAll, query.as_deref()).await?;
    let parameters = parameters.with_aliases(&ALIASES);
    let Some(wanted) = wanted(&app.catalog, account, &parameters)? else {
        return Ok(json_text("[]".to_owned()));
    };
    let mut rows = Vec::new();
    for fill in &app.past_fills.page(&wanted, now()).await? {
        // A market listed in the engine alone is not ours to describe.
        let Some(market) = app.catalog.market(fill.market) else { continue };
        rows.push(fill_json(fill, market, &app.catalog)?);
    }
    json(&rows)
}

/// `None`: nothing can be like that.
fn wanted(
    catalog: &Catalog,
    account: AccountId,
    parameters: &Parameters<'_>,
) -> Result<Option<Wanted>, ApiError> {
    let market = match parameters.get("symbol")? {
        Some(_) => Some(admission::market(parameters, catalog)?.id),
        None => None,
    };
    let Page { limit, offset } = Page::read(parameters)?;
    let Period { from, until } = Period::read(parameters)?;
    let direction = parameters.choice("sortDirection", &DIRECTIONS)?;
    let direction = direction.unwrap_or(SortDirection::Descending);
    let number = parameters.unsigned("orderId")?;
    let order = number.and_then(OrderId::from_u64);
    // Fills of liquidations and the like, which no account here has.
    let is_of_users = parameters.text("fillType")?.is_none_or(|kind| kind == "User");
    let is_impossible = number.is_some() && order.is_none()
        || order.zip(market).is_some_and(|(order, market)| order.market() != market)
        || !is_of_users
        || parameters.get("strategyId")?.is_some()
        || !markets::wants_spot(parameters)
        || until <= from
        || limit == 0;
    let wanted = Wanted { account, market, order, from, until, limit, offset, direction };
    Ok(Some(wanted).filter(|_| !is_impossible))
}

fn fill_json<'c>(
    fill: &Fill,
    market: &'c MarketSpec,
    catalog: &'c Catalog,
) -> Result<FillJson<'c>, ApiError> {
    let fee_asset = asset(catalog, fill.fee_asset)?;
    Ok(FillJson {
        trade_id: fill.trade_id,
        order_id: fill.order.to_string(),
        client_id: fill.client_id.map(|id| id.0.to_string()),
        symbol: &market.symbol,
        side: fill.side,
        price: text::price(fill.price, market),
        quantity: text::lots(fill.lots, market),
        fee: text::units(u128::from(fill.fee.0), fee_asset),
        fee_symbol: &fee_asset.symbol,
        is_maker: fill.is_maker,
        timestamp: naive_time(fill.at),
        system_order_type: Null,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    fn asked(query: &str) -> Result<Option<Wanted>, ApiError> {
        let parameters = Parameters::from_query(query)?.with_aliases(&ALIASES);
        wanted(&fixture::catalog(), AccountId::new(7).unwrap(), &parameters)
    }

    #[test]
    fn names_of_one_client_are_read_as_ours() {
        let order = OrderId::from_parts(fixture::catalog().markets()[0].id, 3, 1).unwrap();
        let query = format!("order_id={order}&sort_direction=Asc&fill_type=User&market_type=SPOT");
        let wanted = asked(&query).unwrap().unwrap();
        assert_eq!((wanted.order, wanted.direction), (Some(order), SortDirection::Ascending));
        assert!(asked("market_type=PERP&market_type=SPOT").unwrap().is_some());
        let twice = asked("orderId=1&order_id=1").unwrap_err();
        assert!(twice.message.starts_with("orderId"), "{}", twice.message);
    }

    #[test]
    fn what_no_fill_can_be_matches_nothing() {
        for query in [
            "fillType=Liquidation",
            "fill_type=user",
            "market_type=PERP",
            "strategyId=1",
            "strategy_id=1",
            "orderId=0",
            "orderId=1&symbol=SOL_USDC",
            "from=2&to=1",
            "limit=0",
        ] {
            assert!(asked(query).unwrap().is_none(), "{query}");
        }
        for query in ["sort_direction=Up", "symbol=SOL_EUR", "order_id=x", "limit=1001", "to=x"] {
            assert_eq!(asked(query).unwrap_err().status.as_u16(), 400, "{query}");
        }
    }
}
