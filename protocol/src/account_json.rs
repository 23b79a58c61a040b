//! What an account's own streams say: `data` of each frame, and the messages that carry them from
//! the engine to the fan-outs ([`crate::feed::AccountMessage`]), written straight into a `String`.

use crate::catalog::Catalog;
use crate::command::OrderKind;
use crate::event::ClosedReason;
use crate::feed::About;
use crate::ids::{ClientId, OrderId, TradeId};
use crate::market::{AssetSpec, MarketSpec};
use crate::order_words::{self, OrderStatus, word};
use crate::stream_json::{push, push_field, push_symbol, push_times};
use crate::text;
use crate::trigger::Trigger;
use crate::units::{Lots, Price, SelfTradePrevention, Side, TimeInForce, Units};

/// A market and what is traded on it.
#[derive(Clone, Copy, Debug)]
pub struct Listed<'a> {
    pub market: &'a MarketSpec,
    pub base: &'a AssetSpec,
    pub quote: &'a AssetSpec,
}

/// An order as an update tells it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ToldOrder {
    pub order: OrderId,
    pub client_id: Option<ClientId>,
    pub side: Side,
    pub kind: OrderKind,
    pub time_in_force: TimeInForce,
    pub self_trade_prevention: SelfTradePrevention,
    /// What it waits for, or waited.
    pub trigger: Option<Trigger>,
    /// The update's fill included.
    pub executed: Lots,
    pub executed_quote: Units,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OrderUpdate {
    pub event: OrderEvent,
    /// After the event.
    pub status: OrderStatus,
    pub order: ToldOrder,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OrderEvent {
    Accepted,
    Fill(Fill),
    Cancelled,
    Expired(ClosedReason),
    TriggerPlaced,
    TriggerFailed,
    /// It is another order from here on, under its id.
    Modified,
}

/// The order's part in one trade.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fill {
    pub trade: TradeId,
    pub price: Price,
    pub lots: Lots,
    pub is_maker: bool,
    /// In units of what the order receives.
    pub fee: Units,
}

/// When a frame is made, and the engine's time of what it tells.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    pub now_us: u64,
    pub time_us: u64,
}

/// The updates of one message, in the order in which they are to be told.
#[derive(Clone, Debug, Default)]
pub struct Updates(String);

impl<'a> Listed<'a> {
    /// `None`: the catalog lacks an asset of the market.
    pub fn of(market: &'a MarketSpec, catalog: &'a Catalog) -> Option<Listed<'a>> {
        let (base, quote) = (catalog.asset(market.base)?, catalog.asset(market.quote)?);
        Some(Listed { market, base, quote })
    }

    fn received_asset(&self, side: Side) -> &'a AssetSpec {
        if self.market.received_asset(side) == self.base.id { self.base } else { self.quote }
    }
}

impl OrderEvent {
    const fn name(&self) -> &'static str {
        match self {
            OrderEvent::Accepted => "orderAccepted",
            OrderEvent::Fill(_) => "orderFill",
            OrderEvent::Cancelled => "orderCancelled",
            OrderEvent::Expired(_) => "orderExpired",
            OrderEvent::TriggerPlaced => "triggerPlaced",
            OrderEvent::TriggerFailed => "triggerFailed",
            OrderEvent::Modified => "orderModified",
        }
    }
}

impl Updates {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn push_order(&mut self, listed: &Listed<'_>, times: Times, update: &OrderUpdate) {
        self.begin(About::Order(listed.market.id));
        push_order(&mut self.0, listed, times, update);
        self.0.push('}');
    }

    /// `available` and `locked` are all that the account has of the asset.
    pub fn push_balance(
        &mut self,
        asset: &AssetSpec,
        times: Times,
        (available, locked): (Units, Units),
    ) {
        self.begin(About::Balance);
        push_balance(&mut self.0, asset, times, (available, locked));
        self.0.push('}');
    }

    /// JSON of the message.
    pub fn message(&self, life: u64, number: u64) -> String {
        format!(r#"{{"life":{life},"number":{number},"updates":[{}]}}"#, self.0)
    }

    fn begin(&mut self, about: About) {
        let out = &mut self.0;
        out.push_str(if out.is_empty() { r#"{"about":"# } else { r#",{"about":"# });
        match about {
            About::Order(market) => push(out, format_args!(r#"{{"Order":{market}}}"#)),
            About::Balance => out.push_str(r#""Balance""#),
        }
        out.push_str(r#","data":"#);
    }
}

fn push_order(out: &mut String, listed: &Listed<'_>, times: Times, update: &OrderUpdate) {
    let (market, ToldOrder { order, executed, executed_quote, .. }) = (listed.market, update.order);
    push(out, format_args!(r#"{{"e":"{}""#, update.event.name()));
    push_times(out, times.now_us, Some(times.time_us));
    push_symbol(out, market);
    push(out, format_args!(r#","i":"{order}""#));
    push_terms(out, listed, &update.order);
    push_word(out, "X", word(&order_words::ORDER_STATUSES, update.status));
    if let OrderEvent::Expired(reason) = update.event
        && let Some(reason) = order_words::expiry_reason(reason)
    {
        push_field(out, "R", |out| push_upper_snake(out, reason));
    }
    push_field(out, "z", |out| text::push_lots(out, executed, market));
    push_units(out, "Z", executed_quote, listed.quote);
    match &update.event {
        OrderEvent::Fill(fill) => {
            push(out, format_args!(r#","t":{}"#, fill.trade));
            push_field(out, "l", |out| text::push_lots(out, fill.lots, market));
            push_field(out, "L", |out| text::push_price(out, fill.price, market));
            push(out, format_args!(r#","m":{}"#, fill.is_maker));
            let received = listed.received_asset(update.order.side);
            push_units(out, "n", fill.fee, received);
            push(out, format_args!(r#","N":"{}""#, received.symbol));
        }
        _ => out.push_str(r#","t":null"#),
    }
    let policy = update.order.self_trade_prevention;
    push_word(out, "V", word(&order_words::SELF_TRADE_PREVENTIONS, policy));
    out.push_str(r#","O":"USER""#);
    if let OrderKind::Limit { post_only, .. } = update.order.kind {
        push(out, format_args!(r#","y":{post_only}"#));
    }
    out.push_str(r#","r":false}"#);
}

/// What was asked for, client id to trigger.
fn push_terms(out: &mut String, listed: &Listed<'_>, told: &ToldOrder) {
    let market = listed.market;
    if let Some(ClientId(client_id)) = told.client_id {
        push(out, format_args!(r#","c":{client_id}"#));
    }
    push_word(out, "S", word(&order_words::SIDES, told.side));
    let (word_of_kind, lots) = match told.kind {
        OrderKind::Limit { lots, .. } => ("LIMIT", lots),
        OrderKind::MarketByLots { lots } => ("MARKET", lots),
        OrderKind::MarketByQuote { .. } => ("MARKET", told.executed),
    };
    push_word(out, "o", Some(word_of_kind));
    push_word(out, "f", word(&order_words::TIMES_IN_FORCE, told.time_in_force));
    push_field(out, "q", |out| text::push_lots(out, lots, market));
    match told.kind {
        OrderKind::Limit { price, .. } => {
            push_field(out, "p", |out| text::push_price(out, price, market));
        }
        OrderKind::MarketByQuote { quote } => push_units(out, "Q", quote, listed.quote),
        OrderKind::MarketByLots { .. } => {}
    }
    if let Some(trigger) = told.trigger {
        push_field(out, "P", |out| text::push_price(out, trigger.price, market));
        push_field(out, "Y", |out| text::push_lots(out, lots, market));
        push_word(out, "B", word(&order_words::TRIGGER_SOURCES, trigger.by));
    }
}

fn push_balance(
    out: &mut String,
    asset: &AssetSpec,
    times: Times,
    (available, locked): (Units, Units),
) {
    out.push_str(r#"{"e":"balanceUpdate""#);
    push_times(out, times.now_us, Some(times.time_us));
    push(out, format_args!(r#","a":"{}""#, asset.symbol));
    push_units(out, "A", available, asset);
    push_units(out, "L", locked, asset);
    out.push_str(r#","S":"0"}"#);
}

fn push_units(out: &mut String, name: &str, units: Units, asset: &AssetSpec) {
    push_field(out, name, |out| text::push_trimmed(out, u128::from(units.0), asset.decimals));
}

/// Left out without a word.
fn push_word(out: &mut String, name: &str, word: Option<&str>) {
    if let Some(word) = word {
        push(out, format_args!(r#","{name}":"{word}""#));
    }
}

/// `FillOrKill` as `FILL_OR_KILL`.
fn push_upper_snake(out: &mut String, word: &str) {
    for (at, letter) in word.char_indices() {
        if at != 0 && letter.is_ascii_uppercase() {
            out.push('_');
        }
        out.push(letter.to_ascii_uppercase());
    }
}

#[cfg(test)]
mod tests;
