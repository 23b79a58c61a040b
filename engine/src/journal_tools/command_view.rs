//! What was asked, as a [`FrameView`](super::frame_view::FrameView) shows it.

use std::num::NonZeroU32;

use protocol::{
    Action, Amend, GatewayId, LotTerms, OrderKind, Place, Price, PriceTerms, Target, Transfer,
    Trigger, WaitingOrder, text,
};
use serde::Serialize;

use super::frame_view::{AmountView, Names, self_trade_prevention, side, time_in_force};

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
    #[serde(rename_all = "camelCase")]
    CancelAll {
        account: u32,
        kinds: String,
        created_until: Option<u64>,
    },
    PlaceTrigger {
        #[serde(flatten)]
        place: PlaceView,
        #[serde(flatten)]
        trigger: TriggerView,
    },
    Amend(AmendView),
    Fire(WaitingView),
    CreateAccount,
    Deposit(TransferView),
    Withdraw(TransferView),
    #[serde(rename_all = "camelCase")]
    SetCancelAfter {
        account: u32,
        /// The fan-out; `None`: the account itself.
        holder: Option<u32>,
        timeout_ms: u32,
    },
    ExpireCancelAfter {
        account: u32,
        holder: Option<u32>,
        /// `None`: now.
        deadline: Option<u64>,
    },
    ListMarket(ListingView),
    SetPriceTerms(PriceTermsView),
    SetLotTerms(LotTermsView),
    SetBookState {
        state: String,
    },
}

/// Whose order, by its id or the client's.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AmendView {
    pub account: u32,
    pub order_id: Option<String>,
    pub client_id: Option<u32>,
    pub price: Option<String>,
    pub ticks: Option<u64>,
    pub quantity: Option<String>,
    pub lots: Option<u64>,
    pub valid_until: Option<u64>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TriggerView {
    pub trigger_price: Option<String>,
    pub trigger_ticks: u64,
    pub trigger_by: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WaitingView {
    pub order_id: String,
    #[serde(flatten)]
    pub place: PlaceView,
    #[serde(flatten)]
    pub trigger: TriggerView,
    pub direction: String,
    pub created: u64,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ListingView {
    pub market: u16,
    pub base: String,
    pub quote: String,
    pub tick_size: String,
    pub step_size: String,
}

/// Multipliers are in millionths; null: no bound.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PriceTermsView {
    pub min_price: Option<String>,
    pub min_ticks: u64,
    pub max_price: Option<String>,
    pub max_ticks: u64,
    pub band_min: Option<u32>,
    pub band_max: Option<u32>,
    pub impact_min: Option<u32>,
    pub impact_max: Option<u32>,
}

/// Fees are in millionths.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LotTermsView {
    pub min_quantity: Option<String>,
    pub min_lots: u64,
    pub max_quantity: Option<String>,
    pub max_lots: u64,
    pub maker_fee: u32,
    pub taker_fee: u32,
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

impl Names<'_> {
    pub fn command(&self, action: &Action) -> CommandView {
        match action {
            Action::Place(place) => CommandView::Place(self.place(place)),
            Action::Cancel { account, target, .. } => {
                let (order_id, client_id) = target_ids(*target);
                CommandView::Cancel { account: account.get(), order_id, client_id }
            }
            Action::CancelAll(all) => CommandView::CancelAll {
                account: all.account.get(),
                kinds: format!("{:?}", all.kinds),
                created_until: bound(all.created_until_us),
            },
            Action::PlaceTrigger(waits) => CommandView::PlaceTrigger {
                place: self.place(&waits.place),
                trigger: self.trigger(waits.trigger),
            },
            Action::Amend(amend) => CommandView::Amend(self.amend(amend)),
            Action::Fire(waiting) => CommandView::Fire(self.waiting(waiting)),
            Action::CreateAccount => CommandView::CreateAccount,
            Action::Deposit(transfer) => CommandView::Deposit(self.transfer(transfer)),
            Action::Withdraw(transfer) => CommandView::Withdraw(self.transfer(transfer)),
            Action::SetCancelAfter { account, holder, timeout_ms } => CommandView::SetCancelAfter {
                account: account.get(),
                holder: fan_out(*holder),
                timeout_ms: *timeout_ms,
            },
            Action::ExpireCancelAfter { account, holder, deadline_us } => {
                CommandView::ExpireCancelAfter {
                    account: account.get(),
                    holder: fan_out(*holder),
                    deadline: bound(*deadline_us),
                }
            }
            Action::ListMarket(listing) => CommandView::ListMarket(ListingView {
                market: listing.market.0,
                base: self.asset(listing.base),
                quote: self.asset(listing.quote),
                tick_size: text::increment(listing.tick),
                step_size: text::increment(listing.step),
            }),
            Action::SetPriceTerms { terms, .. } => {
                CommandView::SetPriceTerms(self.price_terms(terms))
            }
            Action::SetLotTerms { terms, .. } => CommandView::SetLotTerms(self.lot_terms(terms)),
            Action::SetBookState { state, .. } => {
                CommandView::SetBookState { state: format!("{state:?}") }
            }
        }
    }

    pub fn place(&self, place: &Place) -> PlaceView {
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
            valid_until: bound(place.valid_until_us),
        }
    }

    fn transfer(&self, transfer: &Transfer) -> TransferView {
        TransferView {
            account: transfer.account.get(),
            transfer_id: format!("{:032x}", transfer.id.0),
            amount: self.amount(transfer.asset, transfer.units),
        }
    }

    fn amend(&self, amend: &Amend) -> AmendView {
        let (order_id, client_id) = target_ids(amend.target);
        AmendView {
            account: amend.account.get(),
            order_id,
            client_id,
            price: amend.price.and_then(|price| self.price(price)),
            ticks: amend.price.map(Price::ticks),
            quantity: amend.lots.and_then(|lots| self.quantity(lots)),
            lots: amend.lots.map(|lots| lots.0),
            valid_until: bound(amend.valid_until_us),
        }
    }

    fn trigger(&self, trigger: Trigger) -> TriggerView {
        TriggerView {
            trigger_price: self.price(trigger.price),
            trigger_ticks: trigger.price.ticks(),
            trigger_by: format!("{:?}", trigger.by),
        }
    }

    pub fn waiting(&self, waiting: &WaitingOrder) -> WaitingView {
        WaitingView {
            order_id: waiting.order.to_string(),
            place: self.place(&waiting.place),
            trigger: self.trigger(waiting.trigger),
            direction: format!("{:?}", waiting.direction),
            created: waiting.created_us,
        }
    }

    fn price_terms(&self, terms: &PriceTerms) -> PriceTermsView {
        let PriceTerms { price_min, price_max, band, impact } = *terms;
        PriceTermsView {
            min_price: self.price(price_min),
            min_ticks: price_min.ticks(),
            max_price: self.price(price_max),
            max_ticks: price_max.ticks(),
            band_min: band.min_millionths.map(NonZeroU32::get),
            band_max: band.max_millionths.map(NonZeroU32::get),
            impact_min: impact.min_millionths.map(NonZeroU32::get),
            impact_max: impact.max_millionths.map(NonZeroU32::get),
        }
    }

    fn lot_terms(&self, terms: &LotTerms) -> LotTermsView {
        let LotTerms { lots_min, lots_max, maker_fee, taker_fee } = *terms;
        LotTermsView {
            min_quantity: self.quantity(lots_min),
            min_lots: lots_min.0,
            max_quantity: self.quantity(lots_max),
            max_lots: lots_max.0,
            maker_fee: maker_fee.millionths,
            taker_fee: taker_fee.millionths,
        }
    }
}

fn target_ids(target: Target) -> (Option<String>, Option<u32>) {
    match target {
        Target::Order(order) => (Some(order.to_string()), None),
        Target::Client(client) => (None, Some(client.0)),
    }
}

/// Who holds a switch, if not the account itself.
fn fan_out(holder: GatewayId) -> Option<u32> {
    Some(holder).filter(|holder| *holder != Action::OWN_SWITCH).map(|holder| holder.0)
}

/// A time that bounds something; 0: none does.
fn bound(time_us: u64) -> Option<u64> {
    Some(time_us).filter(|time_us| *time_us != 0)
}
