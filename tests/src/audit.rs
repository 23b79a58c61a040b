//! An auditor's check of a still exchange: what it says now against everything it ever wrote down.
//!
//! Call it when nobody trades and `World::settle` has returned. All sums are in whole units.

use std::collections::{BTreeMap, BTreeSet};

use crate::client::id_of;
use crate::conservation::{admin, check_conservation};
use crate::database::{Database, number};
use crate::history::check_history;
use crate::listing::{Listing, Market};
use crate::world::World;

/// Available and locked units by account and asset; an account without any of an asset has no row.
type Balances = BTreeMap<(String, i64), (i128, i128)>;

/// The account that holds the collected fees.
const FEES: &str = "0";

pub fn audit(world: &World) {
    let database = world.database();
    let accounts: Vec<String> =
        database.rows("SELECT id FROM accounts ORDER BY id").into_iter().flatten().collect();
    let live = live_balances(world, &accounts);
    assert_eq!(live, written_balances(&database), "balances now, and the sum of their changes");
    assert_eq!(totals(&live), rebuilt_totals(&database, world.listing()), "rebuilt from fills");
    conserved(&database);
    trades_are_consecutive(&database);
    orders_are_unique(&database);
    candles_hold_all_trades(&database);
    open_orders_agree(world, &accounts, &live);
    check_conservation(world);
    check_history(world);
}

fn live_balances(world: &World, accounts: &[String]) -> Balances {
    let mut balances = Balances::new();
    for account in accounts {
        let capital = admin(world, &format!("accounts/{account}/capital"));
        for (symbol, balance) in capital.as_object().unwrap() {
            let asset = world.listing().asset(symbol);
            let units = |member: &str| asset.units(balance[member].as_str().unwrap());
            let (available, locked) = (units("available"), units("locked"));
            if (available, locked) != (0, 0) {
                balances.insert((account.clone(), asset.id), (available, locked));
            }
        }
    }
    balances
}

fn written_balances(database: &Database) -> Balances {
    let statement = format!(
        "SELECT account_id, asset_id, sum(available), sum(locked) FROM balance_cells \
         WHERE account_id <> {FEES} GROUP BY 1, 2"
    );
    let row = |row: Vec<String>| {
        ((row[0].clone(), row[1].parse().unwrap()), (number(&row[2]), number(&row[3])))
    };
    let balances = database.rows(&statement).into_iter().map(row);
    balances.filter(|(_, balance)| *balance != (0, 0)).collect()
}

fn totals(balances: &Balances) -> BTreeMap<(String, i64), i128> {
    let total = |(key, (available, locked)): (&(String, i64), &(i128, i128))| {
        (key.clone(), available + locked)
    };
    balances.iter().map(total).collect()
}

/// What each account must have by its transfers and its fills alone.
fn rebuilt_totals(database: &Database, listing: &Listing) -> BTreeMap<(String, i64), i128> {
    let mut totals: BTreeMap<(String, i64), i128> = BTreeMap::new();
    let mut add = |account: &str, asset: i64, units: i128| {
        *totals.entry((account.to_owned(), asset)).or_default() += units;
    };
    for row in database.rows("SELECT account_id, asset_id, kind, units FROM transfers") {
        let sign = if row[2] == "1" { 1 } else { -1 };
        add(&row[0], row[1].parse().unwrap(), sign * number(&row[3]));
    }
    let fills = "SELECT account_id, market_id, side, sum(lots), sum(quote_units), sum(fee_units) \
                 FROM fills GROUP BY 1, 2, 3";
    for row in database.rows(fills) {
        let market = market_by_id(listing, &row[1]);
        let base = number(&row[3]) * market.lot_units();
        let (quote, fee) = (number(&row[4]), number(&row[5]));
        if row[2] == "0" {
            add(&row[0], market.base.id, base - fee);
            add(&row[0], market.quote.id, -quote);
        } else {
            add(&row[0], market.base.id, -base);
            add(&row[0], market.quote.id, quote - fee);
        }
    }
    totals.retain(|_, total| *total != 0);
    totals
}

fn market_by_id<'l>(listing: &'l Listing, id: &str) -> &'l Market {
    let id: i64 = id.parse().unwrap();
    listing.markets.iter().find(|market| market.id == id).expect("a listed market")
}

/// Per asset: all that accounts and fees hold is what was deposited and not withdrawn.
fn conserved(database: &Database) {
    let held = "SELECT asset_id, sum(available + locked) FROM balance_cells GROUP BY 1";
    let moved = "SELECT asset_id, sum(CASE kind WHEN 1 THEN units ELSE -units END) \
                 FROM transfers GROUP BY 1";
    let by_asset = |statement: &str| -> BTreeMap<String, i128> {
        database.rows(statement).iter().map(|row| (row[0].clone(), number(&row[1]))).collect()
    };
    assert_eq!(by_asset(held), by_asset(moved), "held by asset, and deposited less withdrawn");
    let fees = format!(
        "SELECT asset_id, sum(available) FROM balance_cells WHERE account_id = {FEES} GROUP BY 1"
    );
    let paid = "SELECT fee_asset_id, sum(fee_units) FROM fills GROUP BY 1";
    assert_eq!(by_asset(&fees), by_asset(paid), "fees collected, and fees paid");
}

/// 1, 2, 3, … in each market; each trade seen from both its sides.
fn trades_are_consecutive(database: &Database) {
    let gaps = database.rows(
        "SELECT market_id, count(*), count(DISTINCT trade_id), min(trade_id), max(trade_id) \
         FROM trades GROUP BY 1 HAVING count(*) <> max(trade_id) OR min(trade_id) <> 1 \
         OR count(DISTINCT trade_id) <> count(*)",
    );
    assert_eq!(gaps, Vec::<Vec<String>>::new(), "trade ids with gaps or repeats");
    let lonely = database.number(
        "SELECT count(*) FROM (SELECT market_id, trade_id FROM fills GROUP BY 1, 2 \
         HAVING count(*) <> 2 OR count(DISTINCT side) <> 2) AS lonely",
    );
    assert_eq!(lonely, 0, "trades without two sides");
    let sides = database.number("SELECT count(*) FROM fills");
    assert_eq!(sides, 2 * database.number("SELECT count(*) FROM trades"));
}

/// Each is placed once, fires once at most and ends once at most; it may be amended in between,
/// which tells it anew under the time of its creation.
fn orders_are_unique(database: &Database) {
    let placed = "is_placement AND triggered_at IS NULL AND created_at = ts";
    for condition in [placed, "is_placement AND triggered_at = ts", "NOT is_placement"] {
        let statement = format!(
            "SELECT order_id, count(*) FROM order_events WHERE {condition} \
             GROUP BY 1 HAVING 1 < count(*)"
        );
        assert_eq!(database.rows(&statement), Vec::<Vec<String>>::new(), "twice: {condition}");
    }
}

/// Every resolution of the candles adds up to the trades.
fn candles_hold_all_trades(database: &Database) {
    let traded = database.rows(
        "SELECT market_id, count(*), sum(lots), sum(quote_units) FROM trades GROUP BY 1 ORDER BY 1",
    );
    let resolutions = database.rows("SELECT DISTINCT resolution FROM klines ORDER BY 1");
    if !traded.is_empty() {
        assert!(15 <= resolutions.len(), "candles of {resolutions:?}");
    }
    for resolution in resolutions.iter().flatten() {
        let held = database.rows(&format!(
            "SELECT market_id, sum(trades), sum(lots), sum(quote_units) FROM klines \
             WHERE resolution = {resolution} GROUP BY 1 ORDER BY 1"
        ));
        assert_eq!(held, traded, "candles of resolution {resolution}, and the trades");
    }
}

/// The open orders are those that waited or rested and never ended, and hold exactly what is
/// locked; one that waits holds nothing.
fn open_orders_agree(world: &World, accounts: &[String], live: &Balances) {
    let mut open = BTreeSet::new();
    let mut held: BTreeMap<(String, i64), i128> = BTreeMap::new();
    for account in accounts {
        let orders = admin(world, &format!("accounts/{account}/orders"));
        for order in orders.as_array().unwrap() {
            assert!(open.insert(id_of(order)), "listed twice: {order}");
            let text = |member: &str| order[member].as_str().unwrap();
            if text("status") == "TriggerPending" {
                continue;
            }
            let market = world.listing().market(text("symbol"));
            let left = market.lots(text("quantity")) - market.lots(text("executedQuantity"));
            let (asset, units) = match text("side") {
                "Bid" => {
                    let ticks = market.ticks(text("price"));
                    (market.quote.id, ticks * left * market.tick_lot_units())
                }
                _ => (market.base.id, left * market.lot_units()),
            };
            *held.entry((account.clone(), asset)).or_default() += units;
        }
    }
    let locked: BTreeMap<(String, i64), i128> = live
        .iter()
        .filter(|(_, (_, locked))| *locked != 0)
        .map(|(key, (_, locked))| (key.clone(), *locked))
        .collect();
    assert_eq!(held, locked, "held by open orders, and locked");
    let written = world.database().rows(
        "SELECT order_id FROM order_events GROUP BY 1 HAVING bool_and(kind IN (1, 5)) \
              ORDER BY 1",
    );
    let written: BTreeSet<String> = written.into_iter().flatten().collect();
    assert_eq!(open, written, "open orders, and those that rested and never ended");
}
