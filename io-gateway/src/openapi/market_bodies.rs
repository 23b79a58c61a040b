//! What the bodies about markets may hold: listing one, and changing what it takes. As in
//! [`bodies`](super::bodies), nothing is read by these types.
//!
//! Each term may stand at the top or in its group, once; `null` takes a bound away.

use utoipa::ToSchema;

use super::values::{Amount, BookStateWord, FeeInput, Symbol};

macro_rules! terms_of_prices {
    ($($name:ident { $($own:tt)* })*) => {$(
        #[derive(Debug, ToSchema)]
        #[serde(rename_all = "camelCase")]
        #[schema(max_properties = 64)]
        pub struct $name {
            $($own)*
            pub min_price: Option<Amount>,
            pub max_price: Option<Amount>,
            /// How far below the last price a limit price may be, as a factor of at most 1.
            pub min_multiplier: Option<Amount>,
            /// How far above the last price a limit price may be, as a factor of at least 1.
            pub max_multiplier: Option<Amount>,
            /// How far below the best bid a market order may eat, as a factor of at most 1.
            pub min_impact_multiplier: Option<Amount>,
            /// How far above the best ask a market order may eat, as a factor of at least 1.
            pub max_impact_multiplier: Option<Amount>,
        }
    )*};
}

terms_of_prices! {
    PriceTerms {}
    NewPriceTerms {
        pub tick_size: Option<Amount>,
    }
}

#[derive(Debug, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(max_properties = 64)]
pub struct QuantityTerms {
    pub min_quantity: Option<Amount>,
    pub max_quantity: Option<Amount>,
}

#[derive(Debug, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(max_properties = 64)]
pub struct NewQuantityTerms {
    pub step_size: Option<Amount>,
    pub min_quantity: Option<Amount>,
    pub max_quantity: Option<Amount>,
}

#[derive(Debug, ToSchema)]
#[schema(max_properties = 64)]
pub struct FilterTerms {
    pub price: Option<PriceTerms>,
    pub quantity: Option<QuantityTerms>,
}

#[derive(Debug, ToSchema)]
#[schema(max_properties = 64)]
pub struct NewFilterTerms {
    pub price: Option<NewPriceTerms>,
    pub quantity: Option<NewQuantityTerms>,
}

/// In basis points.
#[derive(Debug, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(max_properties = 64)]
pub struct FeeTerms {
    pub maker_fee_bps: Option<FeeInput>,
    pub taker_fee_bps: Option<FeeInput>,
}

/// At least one of its members. Terms may also stand at the top, outside their groups.
#[derive(Debug, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(max_properties = 64, example = json!({"orderBookState": "CancelOnly"}))]
pub struct ChangeMarket {
    pub order_book_state: Option<BookStateWord>,
    pub filters: Option<FilterTerms>,
    pub fees: Option<FeeTerms>,
}

/// `tickSize`, `stepSize` and both fees are required, at the top or in their groups.
#[derive(Debug, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(max_properties = 64, example = json!({"symbol": "ETH_BTC", "tickSize": "0.00001",
    "stepSize": "0.001", "makerFeeBps": "8", "takerFeeBps": "10"}))]
pub struct ListMarket {
    /// Two listed assets.
    pub symbol: Symbol,
    pub tick_size: Option<Amount>,
    pub step_size: Option<Amount>,
    /// In basis points.
    pub maker_fee_bps: Option<FeeInput>,
    /// In basis points.
    pub taker_fee_bps: Option<FeeInput>,
    /// `Open` if left out.
    pub order_book_state: Option<BookStateWord>,
    pub filters: Option<NewFilterTerms>,
    pub fees: Option<FeeTerms>,
}
