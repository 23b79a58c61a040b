//! Whether the books add up: where all units of each asset are. Part of administration.

use axum::extract::State;
use axum::response::Response;
use protocol::{AssetSpec, Conservation, text};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::json;
use crate::app::SharedApp;
use crate::error::ApiError;
use crate::openapi::values::{AssetSymbol, DecimalText, Sequence as SequenceText, SignedDecimal};
use crate::order_json::asset;

pub fn routes() -> OpenApiRouter<SharedApp> {
    OpenApiRouter::new().routes(routes!(conservation))
}

#[derive(Serialize, ToSchema)]
#[schema(as = Conservation)]
struct ConservationJson<'a> {
    #[schema(value_type = SequenceText)]
    sequence: String,
    /// Of every asset: nothing is missing, nothing too much, and orders hold what is locked.
    holds: bool,
    assets: Vec<AssetConservation<'a>>,
}

#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = AssetConservation)]
struct AssetConservation<'a> {
    #[schema(value_type = AssetSymbol)]
    asset: &'a str,
    #[schema(value_type = DecimalText)]
    deposits: String,
    #[schema(value_type = DecimalText)]
    withdrawals: String,
    #[schema(value_type = DecimalText)]
    available: String,
    #[schema(value_type = DecimalText)]
    locked: String,
    #[schema(value_type = DecimalText)]
    held: String,
    #[schema(value_type = DecimalText)]
    fees: String,
    #[schema(value_type = SignedDecimal)]
    difference: String,
    holds: bool,
}

/// Where all units of each asset are, at one moment.
#[utoipa::path(
    get, path = "/admin/v1/audit/conservation", operation_id = "getConservation", tag = "Administration",
    responses((status = 200, description = "Success", body = ConservationJson<'static>)),
)]
async fn conservation(State(app): State<SharedApp>) -> Result<Response, ApiError> {
    let (sequence, rows) = app.queries.conservation().await?;
    let mut assets = Vec::with_capacity(rows.len());
    for row in &rows {
        assets.push(conserved(row, asset(&app.catalog, row.asset)?));
    }
    let holds = rows.iter().all(Conservation::holds);
    json(&ConservationJson { sequence: sequence.to_string(), holds, assets })
}

fn conserved<'a>(row: &Conservation, asset: &'a AssetSpec) -> AssetConservation<'a> {
    let difference = row.difference();
    let sign = if difference < 0 { "-" } else { "" };
    AssetConservation {
        asset: &asset.symbol,
        deposits: text::units(row.deposited, asset),
        withdrawals: text::units(row.withdrawn, asset),
        available: text::units(row.available, asset),
        locked: text::units(row.locked, asset),
        held: text::units(row.held, asset),
        fees: text::units(row.fees, asset),
        difference: format!("{sign}{}", text::units(difference.unsigned_abs(), asset)),
        holds: row.holds(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;
    use crate::openapi::tests::assert_described;

    #[test]
    fn what_is_missing_or_too_much_is_told_with_its_sign() {
        let catalog = fixture::catalog();
        let usdc = &catalog.assets()[0];
        let whole = Conservation {
            asset: usdc.id,
            deposited: 10_000_000,
            withdrawn: 1_000_000,
            available: 6_500_000,
            locked: 2_000_000,
            fees: 500_000,
            held: 2_000_000,
        };
        let json = conserved(&whole, usdc);
        assert_eq!((json.deposits.as_str(), json.fees.as_str()), ("10", "0.5"));
        assert_eq!((json.difference.as_str(), json.holds), ("0", true));
        let missing = Conservation { available: 6_499_999, ..whole };
        let json = conserved(&missing, usdc);
        assert_described("AssetConservation", &json);
        assert_eq!((json.difference.as_str(), json.holds), ("-0.000001", false));
        let unheld = Conservation { held: 0, ..whole };
        let json = conserved(&unheld, usdc);
        assert_eq!((json.difference.as_str(), json.holds), ("0", false));
    }
}
