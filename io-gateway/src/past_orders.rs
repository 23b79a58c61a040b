//! Orders that have ended: the database's rows, and in front of them those it does not have yet, as
//! the engine's live copy knows them.
//!
//! The sink moves a stream's position in the transaction that writes the rows. So within one
//! snapshot of the database it is known exactly which of the live copy's orders are missing.

use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use protocol::{AccountId, FinishedOrder, MarketId, OrderId, Sequence};
use service::SharedCatalog;
use sqlx::{PgConnection, PgPool};

use crate::account_rows::Chosen;
use crate::error::ApiError;
use crate::past_order_rows::{self, OrderRow};
use crate::snapshot::{Snapshot, in_time};
use crate::windows::Window;

#[derive(Clone, Debug)]
pub struct PastOrders {
    pool: PgPool,
    /// Name of each market's event stream.
    listing: SharedCatalog,
}

/// By when the orders ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SortDirection {
    Ascending,
    Descending,
}

/// Which of an account's orders are wanted.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    pub account: AccountId,
    pub market: Option<MarketId>,
    pub order: Option<OrderId>,
    pub limit: usize,
    /// Counted from the first in the direction.
    pub offset: usize,
    pub direction: SortDirection,
}

const POSITIONS: &str = "SELECT stream, last_sequence FROM sink_position WHERE stream = ANY($1)";

impl SortDirection {
    pub(crate) const fn sql(self) -> &'static str {
        match self {
            SortDirection::Ascending => "ASC",
            SortDirection::Descending => "DESC",
        }
    }

    /// Orders that one frame ended are equal: they stay as their source has them.
    fn compare(self, left: &FinishedOrder, right: &FinishedOrder) -> Ordering {
        let key = |order: &FinishedOrder| (order.ended_us, order.ended);
        match self {
            SortDirection::Ascending => key(left).cmp(&key(right)),
            SortDirection::Descending => key(right).cmp(&key(left)),
        }
    }
}

impl PastOrders {
    pub fn new(pool: PgPool, listing: SharedCatalog) -> Self {
        PastOrders { pool, listing }
    }

    /// One page of what is wanted, of the database and of `live`: what the engine knows of the same
    /// account and market, asked before.
    pub async fn page(
        &self,
        wanted: &Wanted,
        live: Vec<FinishedOrder>,
        now: DateTime<Utc>,
    ) -> Result<Vec<FinishedOrder>, ApiError> {
        let mut chosen = Chosen {
            account: column(wanted.account.get())?,
            market: wanted.market.map(|market| column(market.0)).transpose()?,
            order: wanted.order.map(|order| column(order.get())).transpose()?,
            within: Window { from: DateTime::UNIX_EPOCH, until: DateTime::<Utc>::MAX_UTC },
            limit: 0,
            offset: 0,
            direction: wanted.direction,
        };
        let mut snapshot = Snapshot::of(&self.pool).await?;
        let read = async {
            let connection = snapshot.connection();
            let missing = if live.is_empty() {
                live
            } else {
                missing(live, &self.positions(&mut *connection).await?)
            };
            // Any of those missing may stand before the page.
            let skipped = wanted.offset.saturating_sub(missing.len());
            let most = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
            chosen.limit = most(wanted.limit.saturating_add(missing.len()));
            chosen.offset = most(skipped);
            let rows = past_order_rows::read(connection, chosen, now).await?;
            Ok((rows, missing, skipped))
        };
        let (rows, missing, skipped) = in_time(&self.pool, read).await?;
        snapshot.end().await?;
        let catalog = self.listing.get();
        let whole = |row: &OrderRow| row.order(wanted.account, &catalog.catalog);
        let stored = rows.iter().filter_map(whole).collect();
        Ok(merge(stored, missing, wanted, skipped))
    }

    /// How far the database has each market at least: what the engine need not be asked for.
    pub async fn positions_now(&self) -> Result<Vec<(MarketId, Sequence)>, ApiError> {
        let database = |error: sqlx::Error| ApiError::database(&error);
        let mut connection = self.pool.acquire().await.map_err(database)?;
        let positions = self.positions(&mut connection).await.map_err(database)?;
        Ok(positions.into_iter().collect())
    }

    /// How far the database has each market.
    async fn positions(
        &self,
        connection: &mut PgConnection,
    ) -> Result<HashMap<MarketId, Sequence>, sqlx::Error> {
        let listed = self.listing.get();
        let markets = listed.catalog.markets();
        let names: Vec<&str> = markets.iter().map(|market| market.symbol.as_str()).collect();
        let rows: Vec<(String, i64)> =
            sqlx::query_as(POSITIONS).bind(names).fetch_all(connection).await?;
        let position = |(name, last): (String, i64)| {
            let market = listed.catalog.market_by_symbol(&name)?.id;
            Some((market, Sequence(u64::try_from(last).ok()?)))
        };
        Ok(rows.into_iter().filter_map(position).collect())
    }
}

/// What the database has not got yet.
fn missing(
    mut live: Vec<FinishedOrder>,
    positions: &HashMap<MarketId, Sequence>,
) -> Vec<FinishedOrder> {
    live.retain(|order| positions.get(&order.market).is_none_or(|last| *last < order.ended));
    live
}

/// `stored` begins behind the database's first `skipped` rows.
fn merge(
    stored: Vec<FinishedOrder>,
    missing: Vec<FinishedOrder>,
    wanted: &Wanted,
    skipped: usize,
) -> Vec<FinishedOrder> {
    let known: HashSet<OrderId> = stored.iter().map(|order| order.order).collect();
    let mut orders = stored;
    let unknown = missing.into_iter().filter(|order| !known.contains(&order.order));
    orders.extend(unknown);
    orders.sort_by(|left, right| wanted.direction.compare(left, right));
    orders.into_iter().skip(wanted.offset - skipped).take(wanted.limit).collect()
}

/// The column that a number of the engine's is kept in.
pub(crate) fn column<T, C: TryFrom<T>>(number: T) -> Result<C, ApiError> {
    C::try_from(number).map_err(|_| ApiError::bug("a number is beyond its column"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::{Lots, OrderKind, SelfTradePrevention, Side, TimeInForce, Units};

    fn ended(number: u32, market: u16, ended_us: u64) -> FinishedOrder {
        FinishedOrder {
            order: OrderId::from_parts(MarketId(market), number, 1).unwrap(),
            account: AccountId::new(7).unwrap(),
            client_id: None,
            market: MarketId(market),
            side: Side::Bid,
            time_in_force: TimeInForce::GoodTillCancelled,
            self_trade_prevention: SelfTradePrevention::RejectTaker,
            kind: OrderKind::MarketByLots { lots: Lots(1) },
            lots_left: Lots(0),
            executed: Lots(1),
            executed_quote: Units(1),
            reason: None,
            refusal: None,
            triggered: None,
            created_us: 1,
            ended: Sequence(ended_us),
            ended_us,
        }
    }

    /// Every page of every size, as asked of a database that holds `stored` alone, tiles what both
    /// hold together.
    fn pages_tile(stored: &[u64], missing: &[u64], direction: SortDirection) {
        let orders = |times: &[u64]| -> Vec<FinishedOrder> {
            times.iter().map(|at| ended(*at as u32, 1, *at)).collect()
        };
        let sorted = |mut orders: Vec<FinishedOrder>| {
            orders.sort_by(|left, right| direction.compare(left, right));
            orders
        };
        let database = sorted(orders(stored));
        let whole = sorted([orders(stored), orders(missing)].concat());
        for limit in 1..=whole.len() + 1 {
            for offset in 0..=whole.len() + 1 {
                let account = AccountId::new(7).unwrap();
                let (market, order) = (None, None);
                let wanted = Wanted { account, market, order, limit, offset, direction };
                let skipped = offset.saturating_sub(missing.len());
                let read = database.iter().skip(skipped).take(limit + missing.len());
                let page = merge(read.copied().collect(), orders(missing), &wanted, skipped);
                let expected: Vec<_> = whole.iter().skip(offset).take(limit).copied().collect();
                assert_eq!(page, expected, "{limit} from {offset}, {missing:?} missing");
            }
        }
    }

    #[test]
    fn pages_are_of_both_sources_whichever_has_the_order() {
        for direction in [SortDirection::Ascending, SortDirection::Descending] {
            pages_tile(&[1, 2, 3, 4, 5], &[6, 7], direction);
            pages_tile(&[1, 2, 5, 8, 9], &[3, 4, 10], direction);
            pages_tile(&[5, 6, 7], &[1, 2, 9], direction);
            pages_tile(&[], &[1, 2], direction);
            pages_tile(&[1, 2, 3], &[], direction);
        }
    }

    #[test]
    fn what_the_database_has_is_not_told_twice() {
        let live = vec![ended(1, 1, 10), ended(2, 1, 11), ended(3, 2, 10)];
        let positions = HashMap::from([(MarketId(1), Sequence(10))]);
        let left = missing(live, &positions);
        assert_eq!(left.iter().map(|it| it.order.slot()).collect::<Vec<_>>(), [2, 3]);
    }
}
