//! What the paths and queries of operations may hold. Handlers read them with [`Parameters`], since
//! a signature covers them as sent; this says the same for the document.
//!
//! [`Parameters`]: crate::parameters::Parameters

use utoipa::IntoParams;

use super::values::{
    Amount, Blockchain, ClientNumberText, DepthLevels, FillKind, KlineInterval, ListedAsset,
    ListedMarket, MarketKind, MillisecondsInput, OffsetNumber, OrderIdText, PositiveNumber,
    PriceTypeWord, RowsNumber, Seconds, SideWord, SortDirectionWord, TradesOffset, WindowWord,
    WithdrawalClientId,
};

#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct MarketQuery {
    pub symbol: ListedMarket,
}

#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Path)]
pub struct MarketPath {
    pub symbol: ListedMarket,
}

#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Path)]
pub struct AccountPath {
    pub id: PositiveNumber,
}

#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Path)]
pub struct RestPath {
    /// Any.
    pub rest: String,
}

#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
pub struct MarketsQuery {
    /// Kinds of markets, may be repeated. Markets here are `SPOT`, others are never found.
    pub market_type: Option<Vec<MarketKind>>,
}

#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct DepthQuery {
    pub symbol: ListedMarket,
    /// Levels a side, the best ones; 1000 if left out.
    pub limit: Option<DepthLevels>,
}

#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct TickerQuery {
    pub symbol: ListedMarket,
    /// The last day, or the last week; `1d` if left out.
    pub interval: Option<WindowWord>,
}

#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct TickersQuery {
    /// The last day, or the last week; `1d` if left out.
    pub interval: Option<WindowWord>,
}

#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct TradesQuery {
    pub symbol: ListedMarket,
    /// 100 if left out.
    pub limit: Option<RowsNumber>,
    /// Trades to skip, from the newest.
    pub offset: Option<TradesOffset>,
}

#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
pub struct KlinesQuery {
    pub symbol: ListedMarket,
    pub interval: KlineInterval,
    /// The candle of this second is the first.
    pub start_time: Seconds,
    /// No candle starts after this second; now, if left out.
    pub end_time: Option<Seconds>,
    /// `Last` if left out; of the others there are no candles.
    pub price_type: Option<PriceTypeWord>,
}

/// Exactly one of `orderId` and `clientId`.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
pub struct OrderQuery {
    pub symbol: ListedMarket,
    /// This, or `clientId`.
    pub order_id: Option<OrderIdText>,
    /// This, or `orderId`.
    pub client_id: Option<ClientNumberText>,
}

#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
pub struct OpenOrdersQuery {
    /// Only of this market.
    pub symbol: Option<ListedMarket>,
    /// Kinds of markets, may be repeated. Markets here are `SPOT`, others are never found.
    pub market_type: Option<Vec<MarketKind>>,
}

#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
pub struct PastOrdersQuery {
    /// Only of this market.
    pub symbol: Option<ListedMarket>,
    /// Only this one.
    pub order_id: Option<OrderIdText>,
    /// 100 if left out.
    pub limit: Option<RowsNumber>,
    /// Orders to skip.
    pub offset: Option<OffsetNumber>,
    /// By the time at which they ended; `Desc` if left out.
    pub sort_direction: Option<SortDirectionWord>,
    /// Kinds of markets, may be repeated. Markets here are `SPOT`, others are never found.
    pub market_type: Option<Vec<MarketKind>>,
    /// No order has one: the answer is empty.
    pub strategy_id: Option<MarketKind>,
}

#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
pub struct FillsQuery {
    /// Only of this market.
    pub symbol: Option<ListedMarket>,
    /// Only of this order.
    pub order_id: Option<OrderIdText>,
    /// From this moment on.
    pub from: Option<MillisecondsInput>,
    /// To the end of this millisecond.
    pub to: Option<MillisecondsInput>,
    /// 100 if left out.
    pub limit: Option<RowsNumber>,
    /// Fills to skip.
    pub offset: Option<OffsetNumber>,
    /// By time; `Desc` if left out.
    pub sort_direction: Option<SortDirectionWord>,
    /// Fills here are all `User`; others are never found.
    pub fill_type: Option<FillKind>,
    /// Kinds of markets, may be repeated. Markets here are `SPOT`, others are never found.
    pub market_type: Option<Vec<MarketKind>>,
    /// No order has one: the answer is empty.
    pub strategy_id: Option<MarketKind>,
}

#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct OrderLimitQuery {
    pub symbol: ListedMarket,
    pub side: SideWord,
    /// Of a bid; the best ask if left out.
    pub price: Option<Amount>,
}

#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct AssetQuery {
    pub symbol: ListedAsset,
}

#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ChainQuery {
    pub blockchain: Blockchain,
}

#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct PeriodQuery {
    /// From this moment on.
    pub from: Option<MillisecondsInput>,
    /// To the end of this millisecond.
    pub to: Option<MillisecondsInput>,
    /// 100 if left out.
    pub limit: Option<RowsNumber>,
    /// Rows to skip.
    pub offset: Option<OffsetNumber>,
}

#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
pub struct WithdrawalsQuery {
    /// Only this one.
    pub id: Option<ClientNumberText>,
    /// Only the one asked for under this name.
    pub client_id: Option<WithdrawalClientId>,
    /// From this moment on.
    pub from: Option<MillisecondsInput>,
    /// To the end of this millisecond.
    pub to: Option<MillisecondsInput>,
    /// 100 if left out.
    pub limit: Option<RowsNumber>,
    /// Rows to skip.
    pub offset: Option<OffsetNumber>,
}
