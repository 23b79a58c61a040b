//! A frame as `journal dump` shows it to people: one line.
//!
//! ```text
//! 17 2026-11-23 19:00:00.123456 SOL_USDC account 2 places Bid Limit 7.00 at 102.00 GTC → filled
//! 2147483649; trade 1: 5.00 at 101.00 with order 2147483648 of account 1
//! ```

use std::fmt::{self, Write};

use chrono::DateTime;

use super::command_view::{
    AmendView, CommandView, ListingView, LotTermsView, PlaceView, PriceTermsView, TransferView,
    TriggerView, WaitingView,
};
use super::frame_view::{AmountView, FrameView};
use super::outcome_view::{EventView, OutcomeView};

impl fmt::Display for FrameView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let FrameView { sequence, stream, command, outcome, .. } = self;
        write!(f, "{sequence} {} {stream} {command} → {outcome}", Time(self.time))?;
        self.events.iter().try_for_each(|event| write!(f, "; {event}"))
    }
}

/// Microseconds since the epoch, in UTC.
pub struct Time(pub u64);

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = i64::try_from(self.0).ok().and_then(DateTime::from_timestamp_micros);
        match time {
            Some(time) => write!(f, "{}", time.format("%Y-%m-%d %H:%M:%S%.6f")),
            None => write!(f, "{} µs", self.0),
        }
    }
}

/// The fan-out that holds a switch; nothing for the account itself.
struct Holder(Option<u32>);

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |fan_out| write!(f, ", by fan-out {fan_out}"))
    }
}

/// A decimal, or the integer it would stand for.
struct Decimal<'a>(&'a Option<String>, u64, &'static str);

impl fmt::Display for Decimal<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(decimal) => f.write_str(decimal),
            None => write!(f, "{} {}", self.1, self.2),
        }
    }
}

impl fmt::Display for AmountView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", Decimal(&self.amount, self.units, "units of"), self.asset)
    }
}

impl fmt::Display for CommandView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CommandView::Place(place) => place.fmt(f),
            CommandView::Cancel { account, order_id: Some(order), .. } => {
                write!(f, "account {account} cancels order {order}")
            }
            CommandView::Cancel { account, client_id, .. } => {
                write!(f, "account {account} cancels its order ")?;
                client_id.map_or(Ok(()), |client| write!(f, "\"{client}\""))
            }
            CommandView::CancelAll { account, kinds, created_until } => {
                write!(f, "account {account} cancels {kinds}")?;
                let until = |until| write!(f, " placed until {}", Time(until));
                created_until.map_or(Ok(()), until)
            }
            CommandView::PlaceTrigger { place, trigger } => write!(f, "{place} {trigger}"),
            CommandView::Amend(amend) => amend.fmt(f),
            CommandView::Fire(waiting) => write!(f, "fires: {waiting}"),
            CommandView::CreateAccount => f.write_str("an account is to be created"),
            CommandView::Deposit(TransferView { account, amount, .. }) => {
                write!(f, "account {account} deposits {amount}")
            }
            CommandView::Withdraw(TransferView { account, amount, .. }) => {
                write!(f, "account {account} withdraws {amount}")
            }
            CommandView::SetCancelAfter { account, holder, timeout_ms: 0 } => {
                write!(f, "account {account} sets no time to cancel{}", Holder(*holder))
            }
            CommandView::SetCancelAfter { account, holder, timeout_ms } => {
                write!(f, "account {account} cancels after {timeout_ms} ms{}", Holder(*holder))
            }
            CommandView::ExpireCancelAfter { account, holder, deadline } => {
                write!(f, "the time of account {account} has come, ")?;
                match deadline {
                    Some(deadline) => write!(f, "{}", Time(*deadline))?,
                    None => f.write_str("now")?,
                }
                Holder(*holder).fmt(f)
            }
            CommandView::ListMarket(ListingView { market, base, quote, tick_size, step_size }) => {
                write!(f, "market {market} lists {base} for {quote}, tick {tick_size}")?;
                write!(f, ", step {step_size}")
            }
            CommandView::SetPriceTerms(terms) => terms.fmt(f),
            CommandView::SetLotTerms(terms) => terms.fmt(f),
            CommandView::SetBookState { state } => write!(f, "the book is to be {state}"),
        }
    }
}

impl fmt::Display for PlaceView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let PlaceView { account, side, order_type, .. } = self;
        write!(f, "account {account} places {side} {order_type} ")?;
        match (self.lots, self.quote_units) {
            (Some(lots), _) => write!(f, "{}", Decimal(&self.quantity, lots, "lots"))?,
            (None, Some(units)) => {
                write!(f, "for {} quote", Decimal(&self.quote_quantity, units, "units of"))?;
            }
            (None, None) => (),
        }
        if let Some(ticks) = self.ticks {
            let price = Decimal(&self.price, ticks, "ticks");
            write!(f, " at {price} {}", self.time_in_force)?;
        }
        if self.post_only {
            f.write_str(" post-only")?;
        }
        self.client_id.map_or(Ok(()), |client| write!(f, " as \"{client}\""))
    }
}

impl fmt::Display for AmendView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "account {} amends ", self.account)?;
        match (&self.order_id, self.client_id) {
            (Some(order), _) => write!(f, "order {order} to")?,
            (None, Some(client)) => write!(f, "its order \"{client}\" to")?,
            (None, None) => (),
        }
        if let Some(lots) = self.lots {
            write!(f, " {}", Decimal(&self.quantity, lots, "lots"))?;
        }
        let at = |ticks| write!(f, " at {}", Decimal(&self.price, ticks, "ticks"));
        self.ticks.map_or(Ok(()), at)
    }
}

impl fmt::Display for TriggerView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "when at {}", Decimal(&self.trigger_price, self.trigger_ticks, "ticks"))
    }
}

impl fmt::Display for WaitingView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let WaitingView { order_id, place, trigger, .. } = self;
        write!(f, "order {order_id}, {place} {trigger}")
    }
}

impl fmt::Display for PriceTermsView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let min = Decimal(&self.min_price, self.min_ticks, "ticks");
        let max = Decimal(&self.max_price, self.max_ticks, "ticks");
        write!(f, "prices are to be {min} to {max}")?;
        let factors = [
            ("band from", self.band_min),
            ("band to", self.band_max),
            ("impact from", self.impact_min),
            ("impact to", self.impact_max),
        ];
        factors.into_iter().try_for_each(|(name, factor)| match factor {
            Some(millionths) => write!(f, ", {name} {millionths} millionths"),
            None => Ok(()),
        })
    }
}

impl fmt::Display for LotTermsView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let min = Decimal(&self.min_quantity, self.min_lots, "lots");
        let max = Decimal(&self.max_quantity, self.max_lots, "lots");
        write!(f, "quantities are to be {min} to {max}, fees of makers {}", self.maker_fee)?;
        write!(f, " and takers {} millionths", self.taker_fee)
    }
}

impl fmt::Display for OutcomeView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OutcomeView::Rested { order_id, quantity_left, lots_left } => {
                let left = Decimal(quantity_left, *lots_left, "lots");
                write!(f, "order {order_id} rests with {left}")
            }
            OutcomeView::Filled { order_id } => write!(f, "order {order_id} is filled"),
            OutcomeView::Expired { order_id, reason, .. } => {
                write!(f, "order {order_id} expires: {reason}")
            }
            OutcomeView::Waits { order_id, direction } => {
                write!(f, "order {order_id} waits for a {direction}")
            }
            OutcomeView::TriggerFailed { order_id, reason } => {
                write!(f, "order {order_id} fails: {reason}")
            }
            OutcomeView::Cancelled => f.write_str("cancelled"),
            OutcomeView::AccountCreated { account } => write!(f, "account {account} created"),
            OutcomeView::Transferred => f.write_str("transferred"),
            OutcomeView::Repeated { first } => write!(f, "was carried out by frame {first}"),
            OutcomeView::Refused { reason } => write!(f, "refused: {reason}"),
            OutcomeView::Recognised { first } => write!(f, "came before, in frame {first}"),
            OutcomeView::BookStateSet | OutcomeView::TermsSet => f.write_str("set"),
            OutcomeView::CancelAfterSet { deadline: Some(deadline) } => {
                write!(f, "cancels at {}", Time(*deadline))
            }
            OutcomeView::CancelAfterSet { deadline: None } => f.write_str("switched off"),
            OutcomeView::CancelAfterExpired => f.write_str("orders are to be cancelled"),
            OutcomeView::MarketListed => f.write_str("listed"),
        }
    }
}

impl fmt::Display for EventView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EventView::Trade {
                trade_id,
                price,
                ticks,
                quantity,
                lots,
                maker_order_id,
                maker_account,
                ..
            } => {
                let (price, quantity) =
                    (Decimal(price, *ticks, "ticks"), Decimal(quantity, *lots, "lots"));
                write!(
                    f,
                    "trade {trade_id}: {quantity} at {price} with order {maker_order_id} \
                     of account {maker_account}"
                )
            }
            EventView::Closed { order_id, account, quantity_left, lots_left, reason, .. } => {
                let left = Decimal(quantity_left, *lots_left, "lots");
                write!(f, "order {order_id} of account {account} leaves with {left}: {reason}")
            }
            EventView::Withdrawn { waiting: WaitingView { order_id, place, .. }, reason } => {
                let account = place.account;
                write!(f, "order {order_id} of account {account} waits no more: {reason}")
            }
        }
    }
}

/// With everything that only comparing needs.
pub fn in_full(view: &FrameView) -> String {
    let mut line = view.to_string();
    let previous = view.previous.unwrap_or(0);
    let told = write!(line, " [previous {previous}, digest {}", view.digest);
    let held = view.held.as_ref().map_or(Ok(()), |held| write!(line, ", held {held}"));
    if told.and(held).is_ok() {
        line.push(']');
    }
    line
}
