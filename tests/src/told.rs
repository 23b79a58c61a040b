//! What one client was told, and its comparison with what a still exchange says.
//!
//! An acknowledged order exists exactly once, with the outcome told; a refused one does not exist;
//! one without an answer exists at most once, and then entirely; one that nobody sent does not
//! exist.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::client::{Trader, id_of};
use crate::database::{Database, number};
use crate::listing::Market;

#[derive(Debug, Default)]
pub struct Told {
    /// Answers of 200 to new orders, by client id.
    pub placed: BTreeMap<u32, Value>,
    /// Client ids of orders that were turned away.
    pub refused: BTreeSet<u32>,
    /// Client ids of orders whose outcome was not told.
    pub unknown: BTreeSet<u32>,
    /// Orders whose cancel was answered with 200, and those answers.
    pub cancelled: BTreeMap<String, Value>,
    /// Orders that were told not to be there when they should have been cancelled.
    pub gone: BTreeSet<String>,
}

/// A client that has stopped.
pub struct Finished {
    pub trader: Trader,
    pub market: Market,
    pub told: Told,
}

/// What became of an order when it was placed.
struct Placement {
    order: String,
    kind: String,
    executed: (i128, i128),
}

/// How an order that had rested ended.
struct End {
    kind: String,
    /// Not written for a maker that was filled.
    executed_lots: Option<i128>,
}

/// One trade of an order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Fill {
    trade: i128,
    is_maker: bool,
    ticks: i128,
    lots: i128,
    quote_units: i128,
    fee_units: i128,
    fee_asset: i64,
}

/// All that is written and said of one client's orders in its market.
struct Written {
    placements: BTreeMap<u32, Placement>,
    ends: BTreeMap<String, End>,
    fills: BTreeMap<String, Vec<Fill>>,
    /// As the engine answers.
    open: BTreeMap<String, Value>,
}

const RESTED: &str = "1";
const FILLED: &str = "2";
const CANCELLED: &str = "3";
const EXPIRED: &str = "4";

impl Finished {
    /// Takes its orders out of the book.
    pub fn clear(&self) {
        self.trader.cancel_all(&self.market.symbol).ok();
    }

    /// How many orders it knows the outcome of.
    pub fn placed(&self) -> usize {
        self.told.placed.len()
    }

    /// Compares all it was told with what the database and the exchange now say.
    pub fn check(&self, database: &Database) {
        let written = self.written(database);
        for (client_id, placement) in &written.placements {
            let sent = self.told.placed.contains_key(client_id);
            let turned_away = self.told.refused.contains(client_id);
            assert!(!turned_away, "{client_id} was refused, and is there as {}", placement.order);
            assert!(sent || self.told.unknown.contains(client_id), "nobody sent {client_id}");
            written.check_whole(&self.market, placement);
        }
        for (client_id, order) in &self.told.placed {
            let placement = written.placements.get(client_id);
            let placement = placement
                .unwrap_or_else(|| panic!("client id {client_id} is gone, once told: {order}"));
            self.check_placement(placement, order);
            self.check_fills(written.fills_of(&placement.order), order);
        }
        for (order, answer) in &self.told.cancelled {
            let end = written.ends.get(order);
            let end = end.unwrap_or_else(|| panic!("{order} did not end, once told: {answer}"));
            let told = self.market.lots(answer["executedQuantity"].as_str().unwrap());
            let found = (end.kind.as_str(), end.executed_lots);
            assert_eq!(found, (CANCELLED, Some(told)), "{answer}");
        }
        for order in &self.told.gone {
            assert!(written.ends.contains_key(order), "{order} was told to be gone");
        }
    }

    fn written(&self, database: &Database) -> Written {
        let of_account =
            format!("account_id = {} AND market_id = {}", self.trader.account, self.market.id);
        let open = self.trader.open_orders(&self.market.symbol);
        Written {
            placements: placements(database, &of_account),
            ends: ends(database, &of_account),
            fills: fills(database, &of_account),
            open: open.into_iter().map(|order| (id_of(&order), order)).collect(),
        }
    }

    fn check_placement(&self, placement: &Placement, order: &Value) {
        let kind = match order["status"].as_str().unwrap() {
            "New" | "PartiallyFilled" => RESTED,
            "Filled" => FILLED,
            "Expired" => EXPIRED,
            other => panic!("{other}"),
        };
        let text = |member: &str| order[member].as_str().unwrap();
        let executed = self.market.lots(text("executedQuantity"));
        let quote = self.market.quote.units(text("executedQuoteQuantity"));
        assert_eq!((placement.order.clone(), placement.kind.as_str()), (id_of(order), kind));
        assert_eq!(placement.executed, (executed, quote), "{order}");
    }

    /// The fills told are the trades of the taker, to the last unit of the fees.
    fn check_fills(&self, written: &[Fill], order: &Value) {
        let told = order["fills"].as_array().unwrap().iter().map(|fill| {
            let text = |member: &str| fill[member].as_str().unwrap();
            let fee_asset = match text("feeSymbol") {
                symbol if symbol == self.market.base.symbol => &self.market.base,
                _ => &self.market.quote,
            };
            let (ticks, lots) =
                (self.market.ticks(text("price")), self.market.lots(text("quantity")));
            Fill {
                trade: fill["tradeId"].as_i64().unwrap().into(),
                is_maker: false,
                ticks,
                lots,
                quote_units: ticks * lots * self.market.tick_lot_units(),
                fee_units: fee_asset.units(text("fee")),
                fee_asset: fee_asset.id,
            }
        });
        let taken: Vec<Fill> = written.iter().filter(|fill| !fill.is_maker).copied().collect();
        assert_eq!(taken, told.collect::<Vec<_>>(), "{order}");
    }
}

impl Written {
    fn fills_of(&self, order: &str) -> &[Fill] {
        self.fills.get(order).map(Vec::as_slice).unwrap_or_default()
    }

    /// An order is there with all that belongs to it, whether its client was told of it or not.
    fn check_whole(&self, market: &Market, placement: &Placement) {
        let order = &placement.order;
        let (all, open, end) = (self.fills_of(order), self.open.get(order), self.ends.get(order));
        let taken = all.iter().filter(|fill| !fill.is_maker);
        let sums = taken.fold((0, 0), |sums, fill| (sums.0 + fill.lots, sums.1 + fill.quote_units));
        assert_eq!(sums, placement.executed, "taken by {order}, and its placement");
        let lots: i128 = all.iter().map(|fill| fill.lots).sum();
        match (placement.kind.as_str(), open, end) {
            (RESTED, Some(open), None) => {
                let executed = market.lots(open["executedQuantity"].as_str().unwrap());
                assert_eq!(executed, lots, "executed, and the trades of {open}");
            }
            (RESTED, None, Some(end)) => {
                let executed = end.executed_lots.unwrap_or(lots);
                assert_eq!(executed, lots, "executed, and the trades of {order}, which ended");
            }
            (FILLED | EXPIRED, None, None) => (),
            (kind, open, end) => panic!(
                "order {order} was placed with {kind}, is open: {open:?}, ended with {:?}",
                end.map(|end| &end.kind)
            ),
        }
    }
}

fn placements(database: &Database, of_account: &str) -> BTreeMap<u32, Placement> {
    let statement = format!(
        "SELECT client_id, order_id, kind, executed_lots, executed_quote_units \
         FROM order_events WHERE is_placement AND {of_account}"
    );
    let mut placements = BTreeMap::new();
    for row in database.rows(&statement) {
        let placement = Placement {
            order: row[1].clone(),
            kind: row[2].clone(),
            executed: (number(&row[3]), number(&row[4])),
        };
        let before = placements.insert(row[0].parse().unwrap(), placement);
        assert!(before.is_none(), "client id {} was placed twice", row[0]);
    }
    placements
}

fn ends(database: &Database, of_account: &str) -> BTreeMap<String, End> {
    let statement = format!(
        "SELECT order_id, kind, executed_lots FROM order_events \
         WHERE NOT is_placement AND {of_account}"
    );
    let mut ends = BTreeMap::new();
    for row in database.rows(&statement) {
        let executed_lots = (!row[2].is_empty()).then(|| number(&row[2]));
        let before = ends.insert(row[0].clone(), End { kind: row[1].clone(), executed_lots });
        assert!(before.is_none(), "order {} ended twice", row[0]);
    }
    ends
}

fn fills(database: &Database, of_account: &str) -> BTreeMap<String, Vec<Fill>> {
    let statement = format!(
        "SELECT order_id, trade_id, is_maker, price_ticks, lots, quote_units, fee_units, \
         fee_asset_id FROM fills WHERE {of_account} ORDER BY trade_id, is_maker"
    );
    let mut fills: BTreeMap<String, Vec<Fill>> = BTreeMap::new();
    for row in database.rows(&statement) {
        fills.entry(row[0].clone()).or_default().push(Fill {
            trade: number(&row[1]),
            is_maker: row[2] == "t",
            ticks: number(&row[3]),
            lots: number(&row[4]),
            quote_units: number(&row[5]),
            fee_units: number(&row[6]),
            fee_asset: row[7].parse().unwrap(),
        });
    }
    fills
}
