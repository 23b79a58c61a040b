//! An account's side of its trades, as the sink wrote them.

use chrono::{DateTime, Utc};
use protocol::{AccountId, AssetId, ClientId, Lots, MarketId, OrderId, Price, Side, Units};
use sqlx::{AssertSqlSafe, PgPool};

use crate::error::ApiError;
use crate::past_orders::{SortDirection, column, of_code, unsigned};

#[derive(Clone, Debug)]
pub struct PastFills {
    pool: PgPool,
}

/// Which of an account's fills are wanted.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    pub account: AccountId,
    pub market: Option<MarketId>,
    pub order: Option<OrderId>,
    pub from: DateTime<Utc>,
    /// The first moment after the period.
    pub until: DateTime<Utc>,
    pub limit: i64,
    pub offset: i64,
    pub direction: SortDirection,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fill {
    pub at: DateTime<Utc>,
    pub market: MarketId,
    /// The account's own.
    pub side: Side,
    pub is_maker: bool,
    pub trade_id: i64,
    pub order: OrderId,
    pub client_id: Option<ClientId>,
    pub price: Price,
    pub lots: Lots,
    pub fee_asset: AssetId,
    pub fee: Units,
}

/// A maker's client id stands in the row of its coming to rest.
const ROWS: &str = "\
    SELECT f.ts, f.market_id, f.side, f.is_maker, f.trade_id, f.order_id, \
     coalesce(f.client_id, p.client_id) AS client_id, f.price_ticks, f.lots, f.fee_asset_id, \
     f.fee_units \
    FROM (SELECT * FROM fills WHERE account_id = $1 AND $2 <= ts AND ts < $3 \
           AND ($4::smallint IS NULL OR market_id = $4) \
           AND OF_ORDER \
          ORDER BY ts DIRECTION, sequence DIRECTION, sub DIRECTION LIMIT $6 OFFSET $7) AS f \
    LEFT JOIN LATERAL (SELECT placed.client_id FROM order_events AS placed \
           WHERE f.is_maker AND placed.order_id = f.order_id AND placed.kind = 1 LIMIT 1) AS p \
     ON true \
    ORDER BY f.ts DIRECTION, f.sequence DIRECTION, f.sub DIRECTION";

/// What stands for OF_ORDER: the fills of one order lie between its first row and its end.
const ANY_ORDER: &str = "$5::bigint IS NULL";
const ONE_ORDER: &str = "\
    order_id = $5::bigint \
    AND (SELECT min(o.ts) FROM order_events AS o WHERE o.order_id = $5) <= ts \
    AND ts <= coalesce((SELECT max(o.ts) FROM order_events AS o WHERE o.order_id = $5 \
     AND o.kind <> 1), 'infinity')";

impl PastFills {
    pub fn new(pool: PgPool) -> Self {
        PastFills { pool }
    }

    pub async fn page(&self, wanted: &Wanted) -> Result<Vec<Fill>, ApiError> {
        let of_order = if wanted.order.is_some() { ONE_ORDER } else { ANY_ORDER };
        let sql = ROWS.replace("DIRECTION", wanted.direction.sql()).replace("OF_ORDER", of_order);
        let rows: Vec<FillRow> = sqlx::query_as(AssertSqlSafe(sql))
            .bind(column::<_, i32>(wanted.account.get())?)
            .bind(wanted.from)
            .bind(wanted.until)
            .bind(wanted.market.map(|market| column::<_, i16>(market.0)).transpose()?)
            .bind(wanted.order.map(|order| column::<_, i64>(order.get())).transpose()?)
            .bind(wanted.limit)
            .bind(wanted.offset)
            .fetch_all(&self.pool)
            .await
            .map_err(|error| ApiError::database(&error))?;
        let fill = |row: &FillRow| {
            row.fill()
                .ok_or_else(|| ApiError::bug(format_args!("fill {} is no fill", row.trade_id)))
        };
        rows.iter().map(fill).collect()
    }
}

/// One row of [`ROWS`].
#[derive(sqlx::FromRow)]
struct FillRow {
    ts: DateTime<Utc>,
    market_id: i16,
    side: i16,
    is_maker: bool,
    trade_id: i64,
    order_id: i64,
    client_id: Option<i64>,
    price_ticks: i64,
    lots: i64,
    fee_asset_id: i16,
    fee_units: i64,
}

impl FillRow {
    /// `None`: something is out of range.
    fn fill(&self) -> Option<Fill> {
        Some(Fill {
            at: self.ts,
            market: MarketId(u16::try_from(self.market_id).ok()?),
            side: of_code([Side::Bid, Side::Ask], |it| it as i16, self.side)?,
            is_maker: self.is_maker,
            trade_id: self.trade_id,
            order: OrderId::from_u64(unsigned(self.order_id)?)?,
            client_id: self.client_id.map(u32::try_from).transpose().ok()?.map(ClientId),
            price: Price::from_ticks(unsigned(self.price_ticks)?)?,
            lots: Lots(unsigned(self.lots)?),
            fee_asset: AssetId(u16::try_from(self.fee_asset_id).ok()?),
            fee: Units(unsigned(self.fee_units)?),
        })
    }
}
