//! What the gateway is asked, and how many rows it has to answer.

use std::net::SocketAddr;
use std::slice::from_ref;

use serde::de::IgnoredAny;

use super::year::{AccountIds, Year};
use crate::error::BenchError;
use crate::rest::exchange::{Exchange, Signer};
use crate::rest::{requests, wire};

const FILLS: (&str, &str) = ("/wapi/v1/history/fills", "fillHistoryQueryAll");
const ORDERS: (&str, &str) = ("/wapi/v1/history/orders", "orderHistoryQueryAll");
const DEPOSITS: (&str, &str) = ("/wapi/v1/capital/deposits", "depositQueryAll");
/// Rows of a page where nothing else is said.
const PAGE: usize = 100;

/// Whose history there is.
#[derive(Debug)]
pub struct Accounts {
    /// On one side of every trade of the market.
    pub maker: (u32, Signer),
    /// Took fifty times in the year.
    pub rare: (u32, Signer),
    /// Took every trade of another market, and fifty of this one.
    pub elsewhere: (u32, Signer),
}

impl Accounts {
    pub fn open(exchange: &Exchange) -> Result<Accounts, BenchError> {
        Ok(Accounts {
            maker: exchange.open_account("history-maker")?,
            rare: exchange.open_account("history-rare")?,
            elsewhere: exchange.open_account("history-elsewhere")?,
        })
    }

    pub fn ids(&self) -> AccountIds {
        let Accounts { maker, rare, elsewhere } = self;
        AccountIds { maker: maker.0, rare: rare.0, elsewhere: elsewhere.0 }
    }
}

/// Asked by nobody, or signed.
#[derive(Clone, Debug)]
pub struct Question<'a> {
    pub name: String,
    path: &'static str,
    signed: Option<(&'static str, &'a Signer)>,
    /// By name, as they are signed.
    members: Vec<(&'static str, String)>,
    /// `None`: it depends on the draw.
    pub rows: Option<usize>,
}

impl Question<'_> {
    /// As bytes, signed now.
    pub fn request(&self) -> Box<[u8]> {
        requests::question(self.path, self.signed, &self.members)
    }

    /// How many rows are answered.
    pub fn ask(&self, gateway: SocketAddr) -> Result<usize, BenchError> {
        let (status, body) = wire::ask(gateway, &self.request())?;
        let rows: Option<Vec<IgnoredAny>> = serde_json::from_slice(&body).ok();
        match rows.filter(|_| status == 200) {
            Some(rows) => Ok(rows.len()),
            None => {
                let body = String::from_utf8_lossy(&body);
                Err(BenchError::Answer(format!("{}: {status} {body}", self.name)))
            }
        }
    }
}

/// All questions.
pub fn all<'a>(year: &Year, accounts: &'a Accounts) -> Vec<Question<'a>> {
    let mut questions = Vec::new();
    trades(year, &mut questions);
    klines(year, &mut questions);
    fills(year, accounts, &mut questions);
    orders(year, accounts, &mut questions);
    questions
}

fn public(
    name: String,
    path: &'static str,
    members: Vec<(&'static str, String)>,
    rows: Option<usize>,
) -> Question<'static> {
    Question { name, path, signed: None, members, rows }
}

fn trades(year: &Year, questions: &mut Vec<Question<'_>>) {
    let mut ask = |name: &str, limit: usize, offset: u64, rows: usize| {
        let members = vec![
            ("limit", limit.to_string()),
            ("offset", offset.to_string()),
            ("symbol", "SOL_USDC".to_owned()),
        ];
        let path = "/api/v1/trades/history";
        questions.push(public(format!("trades, {name}"), path, members, Some(rows)));
    };
    ask("newest", PAGE, 0, PAGE);
    ask("newest 1000", 1000, 0, 1000);
    ask("middle of the year", PAGE, year.trades / 2, PAGE);
    if 1_000_000 + PAGE as u64 <= year.trades {
        ask("offset 1,000,000", PAGE, 1_000_000, PAGE);
    }
    ask("oldest", PAGE, year.trades - PAGE as u64, PAGE);
    ask("beyond the oldest", PAGE, year.trades, 0);
}

fn klines(year: &Year, questions: &mut Vec<Question<'_>>) {
    let (begin, end) = year.seconds();
    for (interval, length_s) in
        [("1s", 1), ("1m", 60), ("15m", 900), ("1h", 3600), ("1d", 86_400), ("1month", 2_678_400)]
    {
        let span = (1000 * length_s).min(end - begin);
        let middle = (begin + end - span) / 2;
        for (name, from) in [("first", begin), ("middle", middle), ("last", end - span)] {
            let members = vec![
                ("endTime", (from + span).to_string()),
                ("interval", interval.to_owned()),
                ("startTime", from.to_string()),
                ("symbol", "SOL_USDC".to_owned()),
            ];
            let name = format!("klines {interval}, {name} 1000");
            questions.push(public(name, "/api/v1/klines", members, None));
        }
    }
    let members = vec![
        ("interval", "1s".to_owned()),
        ("startTime", "0".to_owned()),
        ("symbol", "SOL_USDC".to_owned()),
    ];
    questions.push(public("klines 1s, since 1970".to_owned(), "/api/v1/klines", members, None));
}

/// Adds one signed question; `members` are ordered by name.
fn signed<'a>(
    questions: &mut Vec<Question<'a>>,
    name: &str,
    (path, instruction): (&'static str, &'static str),
    signer: &'a Signer,
    members: &[(&'static str, String)],
    rows: Option<usize>,
) {
    let (name, members) = (name.to_owned(), members.to_vec());
    let signed = Some((instruction, signer));
    questions.push(Question { name, path, signed, members, rows });
}

fn fills<'a>(year: &Year, accounts: &'a Accounts, questions: &mut Vec<Question<'a>>) {
    let mut ask = |name: &str, signer, members: &[(&'static str, String)], rows| {
        signed(questions, &format!("fills, {name}"), FILLS, signer, members, rows);
    };
    let Accounts { maker, rare, elsewhere } = accounts;
    let symbol = ("symbol", "SOL_USDC".to_owned());
    let ascending = ("sortDirection", "Asc".to_owned());
    ask("maker", &maker.1, &[], Some(PAGE));
    ask("maker, 1000", &maker.1, &[("limit", "1000".to_owned())], Some(1000));
    ask("maker, oldest first", &maker.1, from_ref(&ascending), Some(PAGE));
    for offset in [10_000, 100_000, 1_000_000] {
        let deep = [("offset", offset.to_string())];
        let rows = PAGE.min((year.trades as usize).saturating_sub(offset));
        ask(&format!("maker, offset {offset}"), &maker.1, &deep, Some(rows));
    }
    let (begin, end) = year.seconds();
    let day = (begin + end) / 2 / 86_400 * 86_400;
    let from_to = [("from", format!("{day}000")), ("to", format!("{}999", day + 86_399))];
    ask("maker, a day of the middle", &maker.1, &from_to, None);
    let order = [("orderId", year.filled_order(year.trades / 16).to_string())];
    ask("maker, one order", &maker.1, &order, Some(8));
    ask("who trades rarely", &rare.1, &[], Some(50));
    ask("who trades rarely, oldest first", &rare.1, &[ascending], Some(50));
    ask("who trades elsewhere", &elsewhere.1, &[], Some(PAGE));
    ask("who trades elsewhere, of this market", &elsewhere.1, &[symbol], Some(50));
}

fn orders<'a>(year: &Year, accounts: &'a Accounts, questions: &mut Vec<Question<'a>>) {
    let mut ask = |name: &str, signer, members: &[(&'static str, String)], rows| {
        signed(questions, &format!("orders, {name}"), ORDERS, signer, members, rows);
    };
    let Accounts { maker, rare, elsewhere } = accounts;
    let symbol = ("symbol", "SOL_USDC".to_owned());
    let ascending = ("sortDirection", "Asc".to_owned());
    ask("maker", &maker.1, &[], Some(PAGE));
    ask("maker, 1000", &maker.1, &[("limit", "1000".to_owned())], Some(1000));
    ask("maker, oldest first", &maker.1, &[ascending], Some(PAGE));
    for offset in [10_000, 100_000, 1_000_000] {
        let deep = [("offset", offset.to_string())];
        let rows = PAGE.min((year.maker_orders() as usize).saturating_sub(offset));
        ask(&format!("maker, offset {offset}"), &maker.1, &deep, Some(rows));
    }
    let order = [("orderId", year.filled_order(year.trades / 16).to_string())];
    ask("maker, one order", &maker.1, &order, Some(1));
    ask("who trades rarely", &rare.1, &[], Some(50));
    ask("who trades elsewhere", &elsewhere.1, &[], Some(PAGE));
    ask("who trades elsewhere, of this market", &elsewhere.1, &[symbol], Some(50));
    signed(questions, "deposits", DEPOSITS, &maker.1, &[], Some(PAGE));
}
