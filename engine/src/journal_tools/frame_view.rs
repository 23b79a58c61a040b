//! A frame as `journal dump --json` shows it: one object a line.
//!
//! Names are stable and, where the public API has one, the API's. Decimals are strings in the API's
//! rendering, with the integer they stand for beside them (`ticks`, `lots`, `units`); where the
//! market or asset is not listed there is no decimal, and null in its place. Ids of orders and
//! transfers are strings, all other numbers are numbers; `time` and `validUntil` are microseconds.
//!
//! ```text
//! sequence previous stream time cursor digest
//! origin   { gateway epoch sequence }
//! command  { type: place | cancel | cancelAll | setBookState | createAccount | deposit | withdraw
//!            and its fields }
//! outcome  { type: rested | filled | expired | cancelled | accountCreated | transferred | repeated
//!            | refused | recognised | bookStateSet, and its fields }
//! held     { asset amount units }, or null
//! events   [ { type: trade | closed, and its fields } ]
//! ```

use protocol::{
    Action, AssetId, Catalog, Closed, Event, Frame, Lots, MarketId, MarketSpec, OrderKind, Outcome,
    Place, Price, SelfTradePrevention, Side, Target, TimeInForce, Trade, Transfer, Units, text,
};
use serde::Serialize;

#[derive(Debug, Serialize)]
pub struct FrameView {
    pub sequence: u64,
    /// The frame before on the same event stream.
    pub previous: Option<u64>,
    pub stream: String,
    pub time: u64,
    pub cursor: String,
    pub digest: String,
    pub origin: OriginView,
    pub command: CommandView,
    pub outcome: OutcomeView,
    pub held: Option<AmountView>,
    pub events: Vec<EventView>,
}

#[derive(Debug, Serialize)]
pub struct OriginView {
    pub gateway: u32,
    pub epoch: u32,
    pub sequence: u64,
}

#[derive(Debug, Serialize)]
pub struct AmountView {
    pub asset: String,
    pub amount: Option<String>,
    pub units: u64,
}

#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum CommandView {
    Place(PlaceView),
    #[serde(rename_all = "camelCase")]
    Cancel {
        account: u32,
        order_id: Option<String>,
        client_id: Option<u32>,
    },
    CancelAll {
        account: u32,
    },
    SetBookState {
        state: String,
    },
    CreateAccount,
    Deposit(TransferView),
    Withdraw(TransferView),
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PlaceView {
    pub account: u32,
    pub side: &'static str,
    pub order_type: &'static str,
    pub price: Option<String>,
    pub ticks: Option<u64>,
    pub quantity: Option<String>,
    pub lots: Option<u64>,
    pub quote_quantity: Option<String>,
    pub quote_units: Option<u64>,
    pub time_in_force: &'static str,
    pub post_only: bool,
    pub self_trade_prevention: &'static str,
    pub client_id: Option<u32>,
    pub valid_until: Option<u64>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TransferView {
    pub account: u32,
    pub transfer_id: String,
    #[serde(flatten)]
    pub amount: AmountView,
}

#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum OutcomeView {
    Rested { order_id: String, quantity_left: Option<String>, lots_left: u64 },
    Filled { order_id: String },
    Expired { order_id: String, quantity_left: Option<String>, lots_left: u64, reason: String },
    Cancelled,
    AccountCreated { account: u32 },
    Transferred,
    Repeated { first: u64 },
    Refused { reason: String },
    Recognised { first: u64 },
    BookStateSet,
}

#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum EventView {
    Trade {
        trade_id: u64,
        price: Option<String>,
        ticks: u64,
        quantity: Option<String>,
        lots: u64,
        taker_side: &'static str,
        maker_account: u32,
        maker_order_id: String,
        maker_quantity_left: Option<String>,
        maker_lots_left: u64,
        maker_fee: AmountView,
        taker_fee: AmountView,
    },
    Closed {
        order_id: String,
        account: u32,
        client_id: Option<u32>,
        side: &'static str,
        price: Option<String>,
        ticks: u64,
        quantity: Option<String>,
        lots: u64,
        quantity_left: Option<String>,
        lots_left: u64,
        executed_quote: AmountView,
        time_in_force: &'static str,
        post_only: bool,
        self_trade_prevention: &'static str,
        reason: String,
        created: u64,
    },
}

impl FrameView {
    /// What the numbers mean comes from `catalog`.
    pub fn of(frame: &Frame<'_>, catalog: &Catalog) -> FrameView {
        let (header, market) = (&frame.header, frame.command.market());
        let names = Names { catalog, market: catalog.market(market) };
        let origin = frame.command.origin;
        FrameView {
            sequence: header.sequence.0,
            previous: header.previous.map(|previous| previous.0),
            stream: names.stream(market),
            time: frame.command.time_us,
            cursor: header.cursor.to_string(),
            digest: header.digest.to_string(),
            origin: OriginView {
                gateway: origin.gateway.0,
                epoch: origin.epoch,
                sequence: origin.sequence,
            },
            command: names.command(&frame.command.action),
            outcome: names.outcome(&header.outcome),
            held: names.held(&frame.command.action, header.held),
            events: frame.events().map(|event| names.event(&event)).collect(),
        }
    }
}

/// What ids and integers of one frame are called.
struct Names<'a> {
    catalog: &'a Catalog,
    /// Of the frame; `None` for the accounts and for a market that is not listed.
    market: Option<&'a MarketSpec>,
}

impl Names<'_> {
    fn stream(&self, market: MarketId) -> String {
        let name = self.catalog.stream_name(market);
        name.map_or_else(|| format!("market {market}"), str::to_owned)
    }

    fn price(&self, price: Price) -> Option<String> {
        self.market.map(|market| text::price(price, market))
    }

    fn quantity(&self, lots: Lots) -> Option<String> {
        self.market.map(|market| text::lots(lots, market))
    }

    fn amount(&self, asset: AssetId, units: Units) -> AmountView {
        let listed = self.catalog.asset(asset);
        AmountView {
            asset: listed.map_or_else(|| format!("asset {asset}"), |asset| asset.symbol.clone()),
            amount: listed.map(|asset| text::units(u128::from(units.0), asset)),
            units: units.0,
        }
    }

    /// Of the market's quote asset, or of its base asset.
    fn of_market(&self, asset: impl FnOnce(&MarketSpec) -> AssetId, units: Units) -> AmountView {
        match self.market {
            Some(market) => self.amount(asset(market), units),
            None => AmountView { asset: "unlisted".to_owned(), amount: None, units: units.0 },
        }
    }

    fn held(&self, action: &Action, held: Units) -> Option<AmountView> {
        match action {
            _ if held.is_zero() => None,
            Action::Withdraw(transfer) => Some(self.amount(transfer.asset, held)),
            Action::Place(place) => {
                Some(self.of_market(|market| market.paid_asset(place.side), held))
            }
            _ => Some(AmountView { asset: "none".to_owned(), amount: None, units: held.0 }),
        }
    }

    fn command(&self, action: &Action) -> CommandView {
        match action {
            Action::Place(place) => CommandView::Place(self.place(place)),
            Action::Cancel { account, target, .. } => {
                let (order_id, client_id) = match target {
                    Target::Order(order) => (Some(order.to_string()), None),
                    Target::Client(client) => (None, Some(client.0)),
                };
                CommandView::Cancel { account: account.get(), order_id, client_id }
            }
            Action::CancelAll { account, .. } => CommandView::CancelAll { account: account.get() },
            Action::SetBookState { state, .. } => {
                CommandView::SetBookState { state: format!("{state:?}") }
            }
            Action::CreateAccount => CommandView::CreateAccount,
            Action::Deposit(transfer) => CommandView::Deposit(self.transfer(transfer)),
            Action::Withdraw(transfer) => CommandView::Withdraw(self.transfer(transfer)),
        }
    }

    fn place(&self, place: &Place) -> PlaceView {
        let (mut price, mut lots, mut quote, mut post_only) = (None, None, None, false);
        match place.kind {
            OrderKind::Limit { price: limit, lots: wanted, post_only: only } => {
                (price, lots, post_only) = (Some(limit), Some(wanted), only);
            }
            OrderKind::MarketByLots { lots: wanted } => lots = Some(wanted),
            OrderKind::MarketByQuote { quote: wanted } => quote = Some(wanted),
        }
        let spent = quote.map(|quote| self.of_market(|market| market.quote, quote));
        PlaceView {
            account: place.account.get(),
            side: side(place.side),
            order_type: if price.is_some() { "Limit" } else { "Market" },
            price: price.and_then(|price| self.price(price)),
            ticks: price.map(Price::ticks),
            quantity: lots.and_then(|lots| self.quantity(lots)),
            lots: lots.map(|lots| lots.0),
            quote_quantity: spent.and_then(|spent| spent.amount),
            quote_units: quote.map(|quote| quote.0),
            time_in_force: time_in_force(place.time_in_force),
            post_only,
            self_trade_prevention: self_trade_prevention(place.self_trade_prevention),
            client_id: place.client_id.map(|client| client.0),
            valid_until: Some(place.valid_until_us).filter(|until| *until != 0),
        }
    }

    fn transfer(&self, transfer: &Transfer) -> TransferView {
        TransferView {
            account: transfer.account.get(),
            transfer_id: format!("{:032x}", transfer.id.0),
            amount: self.amount(transfer.asset, transfer.units),
        }
    }

    fn outcome(&self, outcome: &Outcome) -> OutcomeView {
        match *outcome {
            Outcome::Rested { order, lots_left } => OutcomeView::Rested {
                order_id: order.to_string(),
                quantity_left: self.quantity(lots_left),
                lots_left: lots_left.0,
            },
            Outcome::Filled { order } => OutcomeView::Filled { order_id: order.to_string() },
            Outcome::Expired { order, lots_left, reason } => OutcomeView::Expired {
                order_id: order.to_string(),
                quantity_left: self.quantity(lots_left),
                lots_left: lots_left.0,
                reason: format!("{reason:?}"),
            },
            Outcome::Cancelled => OutcomeView::Cancelled,
            Outcome::AccountCreated { account } => {
                OutcomeView::AccountCreated { account: account.get() }
            }
            Outcome::Transferred => OutcomeView::Transferred,
            Outcome::Repeated { first } => OutcomeView::Repeated { first: first.0 },
            Outcome::Refused(reason) => OutcomeView::Refused { reason: format!("{reason:?}") },
            Outcome::Recognised { first } => OutcomeView::Recognised { first: first.0 },
            Outcome::BookStateSet => OutcomeView::BookStateSet,
        }
    }

    fn event(&self, event: &Event) -> EventView {
        match event {
            Event::Trade(trade) => self.trade(trade),
            Event::Closed(closed) => self.closed(closed),
        }
    }

    fn trade(&self, trade: &Trade) -> EventView {
        let (maker, taker) = (trade.taker_side.opposite(), trade.taker_side);
        EventView::Trade {
            trade_id: trade.id.0,
            price: self.price(trade.price),
            ticks: trade.price.ticks(),
            quantity: self.quantity(trade.lots),
            lots: trade.lots.0,
            taker_side: side(trade.taker_side),
            maker_account: trade.maker_account.get(),
            maker_order_id: trade.maker_order.to_string(),
            maker_quantity_left: self.quantity(trade.maker_lots_left),
            maker_lots_left: trade.maker_lots_left.0,
            maker_fee: self.of_market(|market| market.received_asset(maker), trade.maker_fee),
            taker_fee: self.of_market(|market| market.received_asset(taker), trade.taker_fee),
        }
    }

    fn closed(&self, closed: &Closed) -> EventView {
        EventView::Closed {
            order_id: closed.order.to_string(),
            account: closed.account.get(),
            client_id: closed.client_id.map(|client| client.0),
            side: side(closed.side),
            price: self.price(closed.price),
            ticks: closed.price.ticks(),
            quantity: self.quantity(closed.lots),
            lots: closed.lots.0,
            quantity_left: self.quantity(closed.lots_left),
            lots_left: closed.lots_left.0,
            executed_quote: self.of_market(|market| market.quote, closed.executed_quote),
            time_in_force: time_in_force(closed.time_in_force),
            post_only: closed.post_only,
            self_trade_prevention: self_trade_prevention(closed.self_trade_prevention),
            reason: format!("{:?}", closed.reason),
            created: closed.created_us,
        }
    }
}

const fn side(side: Side) -> &'static str {
    match side {
        Side::Bid => "Bid",
        Side::Ask => "Ask",
    }
}

const fn time_in_force(time_in_force: TimeInForce) -> &'static str {
    match time_in_force {
        TimeInForce::GoodTillCancelled => "GTC",
        TimeInForce::ImmediateOrCancel => "IOC",
        TimeInForce::FillOrKill => "FOK",
    }
}

const fn self_trade_prevention(prevention: SelfTradePrevention) -> &'static str {
    match prevention {
        SelfTradePrevention::RejectTaker => "RejectTaker",
        SelfTradePrevention::RejectMaker => "RejectMaker",
        SelfTradePrevention::RejectBoth => "RejectBoth",
    }
}
