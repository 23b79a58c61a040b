//! An account's side of its trades, as the sink wrote them.

use chrono::{DateTime, Utc};
use protocol::{AccountId, AssetId, ClientId, Lots, MarketId, OrderId, Price, Side, Units};
use sqlx::{PgConnection, PgPool};

use crate::account_rows::{Chosen, Source};
use crate::error::ApiError;
use crate::past_order_rows::{of_code, unsigned};
use crate::past_orders::{SortDirection, column};
use crate::placements::{self, Life};
use crate::snapshot::{Snapshot, in_time};
use crate::windows::Window;

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

const FILLS: Source = Source {
    table: "fills",
    columns: "r.ts, r.market_id, r.side, r.is_maker, r.trade_id, r.order_id, r.client_id, \
        r.price_ticks, r.lots, r.fee_asset_id, r.fee_units",
    condition: "true",
};

impl PastFills {
    pub fn new(pool: PgPool) -> Self {
        PastFills { pool }
    }

    pub async fn page(&self, wanted: &Wanted, now: DateTime<Utc>) -> Result<Vec<Fill>, ApiError> {
        let chosen = Chosen {
            account: column(wanted.account.get())?,
            market: wanted.market.map(|market| column(market.0)).transpose()?,
            order: wanted.order.map(|order| column(order.get())).transpose()?,
            within: Window { from: wanted.from, until: wanted.until },
            limit: wanted.limit,
            offset: wanted.offset,
            direction: wanted.direction,
        };
        let mut snapshot = Snapshot::of(&self.pool).await?;
        let rows = in_time(&self.pool, rows(snapshot.connection(), chosen, now)).await?;
        snapshot.end().await?;
        let fill = |row: &FillRow| {
            row.fill()
                .ok_or_else(|| ApiError::bug(format_args!("fill {} is no fill", row.trade_id)))
        };
        rows.iter().map(fill).collect()
    }
}

/// The fills of one order lie between its placement and its end.
async fn rows(
    connection: &mut PgConnection,
    mut chosen: Chosen,
    now: DateTime<Utc>,
) -> Result<Vec<FillRow>, sqlx::Error> {
    if let Some(order) = chosen.order {
        let life = placements::life(&mut *connection, chosen.account, order).await?;
        let Some(Life { placed_at, ended_at }) = life else { return Ok(Vec::new()) };
        let within = chosen.within;
        chosen.within =
            within.between(placed_at.unwrap_or(within.from), ended_at.unwrap_or(within.until));
    }
    let mut rows: Vec<FillRow> = FILLS.page(&mut *connection, &chosen, now).await?;
    tell_clients_of_makers(connection, &mut rows).await?;
    Ok(rows)
}

/// A maker's client id stands in the row of its coming to rest.
async fn tell_clients_of_makers(
    connection: &mut PgConnection,
    rows: &mut [FillRow],
) -> Result<(), sqlx::Error> {
    let makers = || rows.iter().filter(|row| row.is_maker);
    let times = || makers().map(|row| row.ts);
    let Some((first, last)) = times().min().zip(times().max()) else { return Ok(()) };
    let orders = makers().map(|row| row.order_id).collect();
    let placements = placements::rested(connection, orders, first, last).await?;
    for row in rows.iter_mut().filter(|row| row.is_maker) {
        row.client_id = placements.get(&row.order_id).and_then(|placed| placed.client_id);
    }
    Ok(())
}

/// What is read of a row of [`FILLS`].
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
