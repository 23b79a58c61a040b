//! What was decided and what came of it, as a [`FrameView`](super::frame_view::FrameView) shows it.

use protocol::{Closed, Event, Outcome, Trade};
use serde::Serialize;

use super::command_view::WaitingView;
use super::frame_view::{AmountView, Names, self_trade_prevention, side, time_in_force};

#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum OutcomeView {
    Rested { order_id: String, quantity_left: Option<String>, lots_left: u64 },
    Filled { order_id: String },
    Expired { order_id: String, quantity_left: Option<String>, lots_left: u64, reason: String },
    Waits { order_id: String, direction: String },
    TriggerFailed { order_id: String, reason: String },
    Cancelled,
    AccountCreated { account: u32 },
    Transferred,
    Repeated { first: u64 },
    Refused { reason: String },
    Recognised { first: u64 },
    BookStateSet,
    CancelAfterSet { deadline: Option<u64> },
    CancelAfterExpired,
    MarketListed,
    TermsSet,
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
    Withdrawn {
        #[serde(flatten)]
        waiting: WaitingView,
        reason: String,
    },
}

impl Names<'_> {
    pub fn outcome(&self, outcome: &Outcome) -> OutcomeView {
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
            Outcome::Waits { order, direction } => OutcomeView::Waits {
                order_id: order.to_string(),
                direction: format!("{direction:?}"),
            },
            Outcome::TriggerFailed { order, refusal } => OutcomeView::TriggerFailed {
                order_id: order.to_string(),
                reason: format!("{refusal:?}"),
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
            Outcome::CancelAfterSet { deadline_us } => OutcomeView::CancelAfterSet {
                deadline: Some(deadline_us).filter(|deadline| *deadline != 0),
            },
            Outcome::CancelAfterExpired => OutcomeView::CancelAfterExpired,
            Outcome::MarketListed => OutcomeView::MarketListed,
            Outcome::TermsSet => OutcomeView::TermsSet,
        }
    }

    pub fn event(&self, event: &Event) -> EventView {
        match event {
            Event::Trade(trade) => self.trade(trade),
            Event::Closed(closed) => self.closed(closed),
            Event::Withdrawn(withdrawn) => EventView::Withdrawn {
                waiting: self.waiting(&withdrawn.waiting),
                reason: format!("{:?}", withdrawn.reason),
            },
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
