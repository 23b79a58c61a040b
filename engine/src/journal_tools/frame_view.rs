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
//! command  { type: place | cancel | cancelAll | placeTrigger | amend | fire | createAccount
//!            | deposit | withdraw | setCancelAfter | expireCancelAfter | listMarket
//!            | setPriceTerms | setLotTerms | setBookState, and its fields }
//! outcome  { type: rested | filled | expired | waits | triggerFailed | cancelled | accountCreated
//!            | transferred | repeated | refused | recognised | bookStateSet | cancelAfterSet
//!            | cancelAfterExpired | marketListed | termsSet, and its fields }
//! held     { asset amount units }, or null
//! events   [ { type: trade | closed | withdrawn, and its fields } ]
//! ```

use protocol::{
    Action, AssetId, Catalog, Event, Frame, Lots, MarketId, MarketSpec, Price, SelfTradePrevention,
    Side, TimeInForce, Units, text,
};
use serde::Serialize;

use super::command_view::CommandView;
use super::outcome_view::{EventView, OutcomeView};

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
            held: names.held(frame),
            events: frame.events().map(|event| names.event(&event)).collect(),
        }
    }
}

/// What ids and integers of one frame are called.
pub(super) struct Names<'a> {
    catalog: &'a Catalog,
    /// Of the frame; `None` for the accounts and for a market that is not listed.
    market: Option<&'a MarketSpec>,
}

impl Names<'_> {
    pub fn stream(&self, market: MarketId) -> String {
        let name = self.catalog.stream_name(market);
        name.map_or_else(|| format!("market {market}"), str::to_owned)
    }

    pub fn price(&self, price: Price) -> Option<String> {
        self.market.map(|market| text::price(price, market))
    }

    pub fn quantity(&self, lots: Lots) -> Option<String> {
        self.market.map(|market| text::lots(lots, market))
    }

    pub fn amount(&self, asset: AssetId, units: Units) -> AmountView {
        let listed = self.catalog.asset(asset);
        AmountView {
            asset: self.asset(asset),
            amount: listed.map(|asset| text::units(u128::from(units.0), asset)),
            units: units.0,
        }
    }

    /// Of the market's quote asset, or of its base asset.
    pub fn of_market(
        &self,
        asset: impl FnOnce(&MarketSpec) -> AssetId,
        units: Units,
    ) -> AmountView {
        match self.market {
            Some(market) => self.amount(asset(market), units),
            None => AmountView { asset: "unlisted".to_owned(), amount: None, units: units.0 },
        }
    }

    pub fn asset(&self, asset: AssetId) -> String {
        let listed = self.catalog.asset(asset);
        listed.map_or_else(|| format!("asset {asset}"), |asset| asset.symbol.clone())
    }

    fn held(&self, frame: &Frame<'_>) -> Option<AmountView> {
        let held = frame.header.held;
        let paid = |side| Some(self.of_market(|market| market.paid_asset(side), held));
        let amended = || {
            frame.events().find_map(|event| match event {
                Event::Closed(closed) => Some(closed.side),
                _ => None,
            })
        };
        match &frame.command.action {
            _ if held.is_zero() => None,
            Action::Withdraw(transfer) => Some(self.amount(transfer.asset, held)),
            Action::Place(place) => paid(place.side),
            Action::Fire(waiting) => paid(waiting.place.side),
            Action::Amend(_) => amended().and_then(paid),
            _ => Some(AmountView { asset: "none".to_owned(), amount: None, units: held.0 }),
        }
    }
}

pub(super) const fn side(side: Side) -> &'static str {
    match side {
        Side::Bid => "Bid",
        Side::Ask => "Ask",
    }
}

pub(super) const fn time_in_force(time_in_force: TimeInForce) -> &'static str {
    match time_in_force {
        TimeInForce::GoodTillCancelled => "GTC",
        TimeInForce::ImmediateOrCancel => "IOC",
        TimeInForce::FillOrKill => "FOK",
    }
}

pub(super) const fn self_trade_prevention(prevention: SelfTradePrevention) -> &'static str {
    match prevention {
        SelfTradePrevention::RejectTaker => "RejectTaker",
        SelfTradePrevention::RejectMaker => "RejectMaker",
        SelfTradePrevention::RejectBoth => "RejectBoth",
    }
}
