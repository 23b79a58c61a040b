//! bpx-api-client as it is published, called one answer after another.

#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails where it stands")]

pub mod stream;

use bpx_api_client::types::fill::{Fill, FillsHistoryParams};
use bpx_api_client::types::order::{
    ExecuteOrderPayload, LimitOrder, MarketOrder, Order, OrderType, Side, TimeInForce,
};
use bpx_api_client::{BpxClient, Error, Result};
use rust_decimal::Decimal;
use scenarios::client::Trader;
use scenarios::eventually::eventually;
use tokio::runtime::{Builder, Runtime};

/// A client, and the runtime its futures are driven by.
pub struct Caller {
    client: BpxClient,
    runtime: Runtime,
}

impl Caller {
    pub fn of(trader: &Trader, ws_url: &str) -> Caller {
        let account = &trader.client;
        let builder = BpxClient::builder().base_url(&account.rest_url).ws_url(ws_url);
        let client = builder.secret(&account.keys.api_secret).build().unwrap();
        Caller { client, runtime: Builder::new_current_thread().enable_all().build().unwrap() }
    }

    /// `caller.ask(async |client| client.get_markets().await)`
    pub fn ask<T>(&self, question: impl AsyncFnOnce(&BpxClient) -> Result<T>) -> T {
        self.try_ask(question).unwrap_or_else(|error| panic!("{error}"))
    }

    pub fn try_ask<T>(&self, question: impl AsyncFnOnce(&BpxClient) -> Result<T>) -> Result<T> {
        self.runtime.block_on(question(&self.client))
    }

    /// Checks that it was refused with this status and code.
    pub fn refused<T>(
        &self,
        status: u16,
        code: &str,
        question: impl AsyncFnOnce(&BpxClient) -> Result<T>,
    ) {
        match self.try_ask(question) {
            Ok(_) => panic!("not refused with {code}"),
            Err(Error::BpxApiError { status_code, message }) => {
                assert_eq!(status_code.as_u16(), status, "{message}");
                assert!(message.contains(&format!("\"{code}\"")), "{message}");
            }
            Err(other) => panic!("not refused with {code}: {other}"),
        }
    }

    pub fn place(&self, order: ExecuteOrderPayload) -> Order {
        self.ask(async |client| client.execute_order(order).await)
    }

    /// Available and locked.
    pub fn balance(&self, asset: &str) -> (Decimal, Decimal) {
        let balances = self.ask(async |client| client.get_balances().await);
        let Some(balance) = balances.get(asset) else { return (Decimal::ZERO, Decimal::ZERO) };
        assert_eq!(balance.staked, Decimal::ZERO);
        (balance.available, balance.locked)
    }

    pub fn has(&self, asset: &str, available: &str, locked: &str) {
        let wanted = (number(available), number(locked));
        assert_eq!(self.balance(asset), wanted, "available and locked {asset}");
    }

    /// The fills of an order, once there are this many.
    pub fn fills(&self, order: &str, count: usize) -> Vec<Fill> {
        eventually("the fills", || {
            let params = FillsHistoryParams::default().with_order_id(order).with_limit(1000);
            let fills = self.ask(async |client| client.get_historical_fills(params).await);
            if fills.len() == count { Ok(fills) } else { Err(fills) }
        })
    }
}

pub fn number(text: &str) -> Decimal {
    text.parse().unwrap()
}

pub fn limit(symbol: &str, side: Side, price: &str, quantity: &str) -> ExecuteOrderPayload {
    ExecuteOrderPayload {
        symbol: symbol.to_owned(),
        side,
        order_type: OrderType::Limit,
        price: Some(number(price)),
        quantity: Some(number(quantity)),
        time_in_force: Some(TimeInForce::GTC),
        ..ExecuteOrderPayload::default()
    }
}

pub fn market(symbol: &str, side: Side) -> ExecuteOrderPayload {
    let order_type = OrderType::Market;
    let symbol = symbol.to_owned();
    ExecuteOrderPayload { symbol, side, order_type, ..ExecuteOrderPayload::default() }
}

pub fn as_limit(order: Order) -> LimitOrder {
    match order {
        Order::Limit(order) => order,
        Order::Market(order) => panic!("no limit order: {order:?}"),
    }
}

pub fn as_market(order: Order) -> MarketOrder {
    match order {
        Order::Market(order) => order,
        Order::Limit(order) => panic!("no market order: {order:?}"),
    }
}
