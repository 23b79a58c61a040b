//! Hot path. What a state comes to as one number, kept up to date step by step.
//!
//! A sum, in wrapping arithmetic, of a hash of every fact of the state: each fact adds its hash
//! when it begins to hold and takes it away when it ends. So the sum tells of the state alone and
//! not of the way there, and shard and replica, who come to it on different ways, must agree on it
//! frame by frame. Amounts count linearly, so that a change of an amount needs no look at what it
//! was.

use std::num::NonZeroU32;

use protocol::{
    AccountId, AssetId, BookState, GatewayId, Listing, LotTerms, Lots, Multipliers, OpenOrder,
    OrderId, OrderKind, PriceTerms, StateDigest, Units, WaitingOrder,
};
use serde::{Deserialize, Serialize};

use crate::state::{Direction, TransferRecord};

/// One stream's share of the state: a market, or the accounts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct StateSum(pub u64);

/// Told apart by what stands in the upper bits of what is hashed.
const CELL: u64 = 1 << 56;
const FEES: u64 = 2 << 56;
const ORDER: u64 = 3 << 56;
const QUOTE: u64 = 4 << 56;
const GENERATION: u64 = 5 << 56;
const TRANSFER: u64 = 6 << 56;
const WAITING: u64 = 7 << 56;
const CANCEL_AFTER: u64 = 8 << 56;
const EXPIRED: u64 = 9 << 56;
const PRICE_TERMS: u64 = 16 << 56;
const LOT_TERMS: u64 = 17 << 56;
const LISTING: u64 = 18 << 56;

/// Odd numbers without a pattern: weights of what there is one of.
const LAST_TRADE: u64 = 0xA24B_AED4_963E_E407;
const ACCOUNTS: u64 = 0x9FB2_1C65_1E98_DF25;
const BOOK_STATE: u64 = 0xD6E8_FEB8_6659_FD93;
const ORIGIN: u64 = 0xC2B2_AE3D_27D4_EB4F;
const ORIGIN_FRAME: u64 = 0x8CB9_2BA7_2F3D_8DD7;
const ORIGIN_EPOCH: u64 = 0xE703_7ED1_A0B4_28DB;

/// Each bit of `word` has a part in each bit of what comes out.
#[inline]
const fn mix(word: u64) -> u64 {
    let word = (word ^ word >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let word = (word ^ word >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    word ^ word >> 31
}

/// What one unit of an account's balance weighs.
#[inline]
const fn cell(account: AccountId, asset: AssetId) -> u64 {
    mix(CELL | (account.get() as u64) << 16 | asset.0 as u64) | 1
}

#[inline]
const fn fees(asset: AssetId) -> u64 {
    mix(FEES | asset.0 as u64) | 1
}

impl StateSum {
    #[inline]
    pub const fn digest(self) -> StateDigest {
        StateDigest::of(self.0)
    }

    #[inline]
    const fn add(&mut self, hash: u64) {
        self.0 = self.0.wrapping_add(hash);
    }

    #[inline]
    const fn take(&mut self, hash: u64) {
        self.0 = self.0.wrapping_sub(hash);
    }

    /// The shares of all streams together.
    pub const fn with(self, other: StateSum) -> StateSum {
        StateSum(self.0.wrapping_add(other.0))
    }

    #[inline]
    pub fn give(&mut self, account: AccountId, asset: AssetId, units: Units) {
        self.add(units.0.wrapping_mul(cell(account, asset)));
    }

    #[inline]
    pub fn hold(&mut self, account: AccountId, asset: AssetId, units: Units) {
        self.take(units.0.wrapping_mul(cell(account, asset)));
    }

    /// As [`StateSum::give`] and [`StateSum::hold`], by the sign of `units`.
    #[inline]
    pub fn moved(&mut self, account: AccountId, asset: AssetId, units: i128) {
        self.add((units as u64).wrapping_mul(cell(account, asset)));
    }

    #[inline]
    pub fn fee(&mut self, asset: AssetId, units: Units) {
        self.add(units.0.wrapping_mul(fees(asset)));
    }

    /// An order comes to rest.
    #[inline]
    pub fn rest(&mut self, order: &OpenOrder) {
        self.add(hash_of(order));
    }

    /// A resting order leaves, as it then stands.
    #[inline]
    pub fn leave(&mut self, order: &OpenOrder) {
        self.take(hash_of(order));
    }

    /// A resting order trades and goes on resting, or is about to leave with nothing left.
    #[inline]
    pub fn execute(&mut self, order: OrderId, lots: Lots, quote: Units) {
        self.take(lots.0.wrapping_mul(lots_of(order)));
        self.add(quote.0.wrapping_mul(quote_of(order)));
    }

    /// An order begins to wait for its trigger.
    pub fn wait(&mut self, order: &WaitingOrder) {
        self.add(hash_of_waiting(order));
    }

    pub fn wait_no_more(&mut self, order: &WaitingOrder) {
        self.take(hash_of_waiting(order));
    }

    /// Orders of the account will be cancelled at `deadline_us`, as `holder` has it; 0: not.
    pub fn cancel_after(&mut self, account: AccountId, holder: GatewayId, deadline_us: u64) {
        self.add(cancel_after_of(account, holder, deadline_us));
    }

    /// The inverse of [`StateSum::cancel_after`].
    pub fn cancel_after_no_more(
        &mut self,
        account: AccountId,
        holder: GatewayId,
        deadline_us: u64,
    ) {
        self.take(cancel_after_of(account, holder, deadline_us));
    }

    /// Such a time last came for the account at `expired_us`; 0: never.
    pub fn expired(&mut self, account: AccountId, expired_us: u64) {
        self.add(expired_of(account, expired_us));
    }

    /// The inverse of [`StateSum::expired`].
    pub fn expired_no_more(&mut self, account: AccountId, expired_us: u64) {
        self.take(expired_of(account, expired_us));
    }

    /// A slot is given out to its next order.
    #[inline]
    pub fn generation(&mut self, order: OrderId) {
        self.add(generation_of(order));
    }

    /// As many orders as `order`'s generation says have had its slot.
    pub fn generations(&mut self, order: OrderId) {
        self.add(generation_of(order).wrapping_mul(u64::from(order.generation())));
    }

    #[inline]
    pub fn trades(&mut self, count: u64) {
        self.add(count.wrapping_mul(LAST_TRADE));
    }

    pub fn book_state(&mut self, was: BookState, is: BookState) {
        self.take((was as u64).wrapping_mul(BOOK_STATE));
        self.add((is as u64).wrapping_mul(BOOK_STATE));
    }

    /// Terms set by the operator; those of the config are no part of the state.
    pub fn price_terms(&mut self, was: Option<PriceTerms>, is: PriceTerms) {
        self.take(was.map_or(0, price_terms_of));
        self.add(price_terms_of(is));
    }

    pub fn lot_terms(&mut self, was: Option<LotTerms>, is: LotTerms) {
        self.take(was.map_or(0, lot_terms_of));
        self.add(lot_terms_of(is));
    }

    pub fn listing(&mut self, listing: &Listing) {
        let Listing { market, base, quote, tick, step } = *listing;
        let ids = [market.0, base.0, quote.0].map(u64::from);
        let ids = ids.into_iter().fold(0, |word, id| word << 16 | id);
        let scales = u64::from(tick.scale) << 32 | u64::from(step.scale);
        self.add(words_of(LISTING, [ids, tick.mantissa, step.mantissa, scales]));
    }

    pub fn accounts(&mut self, count: u64) {
        self.add(count.wrapping_mul(ACCOUNTS));
    }

    pub fn transfer(&mut self, done: &TransferRecord) {
        let direction = match done.direction {
            Direction::Deposit => 0,
            Direction::Withdrawal => 1,
        };
        let who = (done.account.get() as u64) << 16 | u64::from(done.asset.0);
        let id = mix(done.id.0 as u64).wrapping_add(mix((done.id.0 >> 64) as u64).rotate_left(7));
        let what = mix(TRANSFER | direction << 48 | who).wrapping_add(done.units.0.rotate_left(19));
        self.add(mix(id ^ what ^ done.sequence.0.rotate_left(40)));
    }

    /// The command of this name is remembered as decided by `frame`.
    #[inline]
    pub fn remember(&mut self, epoch: u32, sequence: u64, frame: u64) {
        self.add(memory_of(epoch, sequence, frame));
    }

    #[inline]
    pub fn forget(&mut self, epoch: u32, sequence: u64, frame: u64) {
        self.take(memory_of(epoch, sequence, frame));
    }
}

#[inline]
fn lots_of(order: OrderId) -> u64 {
    mix(ORDER ^ order.get()) | 1
}

#[inline]
fn quote_of(order: OrderId) -> u64 {
    mix(QUOTE ^ order.get()) | 1
}

#[inline]
fn generation_of(order: OrderId) -> u64 {
    mix(GENERATION | u64::from(order.market().0) << 32 | u64::from(order.slot())) | 1
}

#[inline]
fn hash_of(order: &OpenOrder) -> u64 {
    let flags = order.side as u64
        | (order.time_in_force as u64) << 1
        | (order.self_trade_prevention as u64) << 3
        | u64::from(order.post_only) << 5
        | order.client_id.map_or(0, |id| u64::from(id.0) << 8 | 1 << 6);
    let fixed = (order.price.ticks().wrapping_mul(0x9E37_79B9_7F4A_7C15))
        .wrapping_add(order.lots.0.wrapping_mul(0xC6BC_2796_92B5_CC83))
        .wrapping_add(order.created_us.wrapping_mul(0xD1B5_4A32_D192_ED03))
        .wrapping_add(flags.wrapping_mul(0xAEF1_7502_108E_F2D9))
        .wrapping_add(u64::from(order.account.get()).wrapping_mul(0xF135_7AEA_2E62_A9C5));
    let weight = lots_of(order.order);
    mix(fixed ^ weight)
        .wrapping_add(order.lots_left.0.wrapping_mul(weight))
        .wrapping_add(order.executed_quote.0.wrapping_mul(quote_of(order.order)))
}

fn hash_of_waiting(waiting: &WaitingOrder) -> u64 {
    let WaitingOrder { order, place, trigger, direction, created_us } = waiting;
    let (kind, price, amount) = match place.kind {
        OrderKind::Limit { price, lots, post_only } => {
            (u64::from(post_only), price.ticks(), lots.0)
        }
        OrderKind::MarketByLots { lots } => (2, 0, lots.0),
        OrderKind::MarketByQuote { quote } => (3, 0, quote.0),
    };
    let flags = place.side as u64
        | (place.time_in_force as u64) << 1
        | (place.self_trade_prevention as u64) << 3
        | kind << 5
        | (*direction as u64) << 7
        | (trigger.by as u64) << 8
        | place.client_id.map_or(0, |id| u64::from(id.0) << 16 | 1 << 10);
    let parts = [
        mix(WAITING ^ order.get()),
        price,
        amount,
        trigger.price.ticks(),
        *created_us,
        flags,
        u64::from(place.account.get()),
    ];
    parts.into_iter().fold(0, |hash: u64, part| mix(hash.rotate_left(23) ^ part))
}

fn cancel_after_of(account: AccountId, holder: GatewayId, deadline_us: u64) -> u64 {
    if deadline_us == 0 {
        return 0;
    }
    words_of(CANCEL_AFTER, [account.get().into(), holder.0.into(), deadline_us, 0])
}

fn expired_of(account: AccountId, expired_us: u64) -> u64 {
    if expired_us == 0 {
        return 0;
    }
    words_of(EXPIRED, [account.get().into(), expired_us, 0, 0])
}

fn price_terms_of(terms: PriceTerms) -> u64 {
    let PriceTerms { price_min, price_max, band, impact } = terms;
    let factors = |Multipliers { min_millionths, max_millionths }| {
        let bits = |factor: Option<NonZeroU32>| u64::from(factor.map_or(0, NonZeroU32::get));
        bits(min_millionths) << 32 | bits(max_millionths)
    };
    words_of(PRICE_TERMS, [price_min.ticks(), price_max.ticks(), factors(band), factors(impact)])
}

fn lot_terms_of(terms: LotTerms) -> u64 {
    let LotTerms { lots_min, lots_max, maker_fee, taker_fee } = terms;
    let fees = [maker_fee, taker_fee].map(|fee| u64::from(fee.millionths));
    words_of(LOT_TERMS, [lots_min.0, lots_max.0, fees[0], fees[1]])
}

/// The hash of facts that stand in this order.
fn words_of(kind: u64, words: [u64; 4]) -> u64 {
    words.into_iter().fold(mix(kind), |hash, word| mix(hash.rotate_left(23) ^ mix(word)))
}

#[inline]
fn memory_of(epoch: u32, sequence: u64, frame: u64) -> u64 {
    sequence
        .wrapping_mul(ORIGIN)
        .wrapping_add(frame.wrapping_mul(ORIGIN_FRAME))
        .wrapping_add(u64::from(epoch).wrapping_mul(ORIGIN_EPOCH))
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::{ClientId, MarketId, Price, SelfTradePrevention, Side, TimeInForce};

    fn order() -> OpenOrder {
        OpenOrder {
            order: OrderId::from_parts(MarketId(1), 7, 3).unwrap(),
            account: AccountId::new(5).unwrap(),
            client_id: Some(ClientId(9)),
            market: MarketId(1),
            side: Side::Ask,
            time_in_force: TimeInForce::GoodTillCancelled,
            self_trade_prevention: SelfTradePrevention::RejectTaker,
            post_only: false,
            price: Price::from_ticks(100).unwrap(),
            lots: Lots(10),
            lots_left: Lots(10),
            executed_quote: Units(0),
            created_us: 77,
        }
    }

    fn sum(act: impl Fn(&mut StateSum)) -> StateSum {
        let mut sum = StateSum::default();
        act(&mut sum);
        sum
    }

    #[test]
    fn an_order_that_trades_and_leaves_leaves_nothing() {
        let mut sum = StateSum::default();
        let resting = order();
        sum.rest(&resting);
        sum.execute(resting.order, Lots(4), Units(400));
        let later = OpenOrder { lots_left: Lots(6), executed_quote: Units(400), ..resting };
        assert_eq!(sum, super::tests::sum(|sum| sum.rest(&later)));
        sum.leave(&later);
        assert_eq!(sum, StateSum::default());
    }

    #[test]
    fn every_field_of_an_order_has_a_part() {
        let one = order();
        let others = [
            OpenOrder { client_id: None, ..one },
            OpenOrder { client_id: Some(ClientId(8)), ..one },
            OpenOrder { account: AccountId::new(6).unwrap(), ..one },
            OpenOrder { side: Side::Bid, ..one },
            OpenOrder { post_only: true, ..one },
            OpenOrder { time_in_force: TimeInForce::FillOrKill, ..one },
            OpenOrder { self_trade_prevention: SelfTradePrevention::RejectBoth, ..one },
            OpenOrder { price: Price::from_ticks(101).unwrap(), ..one },
            OpenOrder { lots: Lots(11), ..one },
            OpenOrder { lots_left: Lots(9), ..one },
            OpenOrder { executed_quote: Units(1), ..one },
            OpenOrder { created_us: 78, ..one },
            OpenOrder { order: OrderId::from_parts(MarketId(1), 7, 4).unwrap(), ..one },
        ];
        let of = |order: &OpenOrder| sum(|sum| sum.rest(order)).digest();
        let mut digests: Vec<_> = others.iter().map(of).collect();
        digests.push(of(&one));
        digests.sort_by_key(|digest| digest.bits());
        digests.dedup();
        assert_eq!(digests.len(), others.len() + 1);
    }

    #[test]
    fn a_unit_moved_to_another_cell_is_seen_and_one_moved_back_is_not() {
        let (one, two) = (AccountId::new(1).unwrap(), AccountId::new(2).unwrap());
        let mut sum = StateSum::default();
        sum.hold(one, AssetId(1), Units(1));
        sum.give(two, AssetId(1), Units(1));
        assert_ne!(sum.digest(), StateDigest::default());
        sum.moved(two, AssetId(1), -1);
        sum.moved(one, AssetId(1), 1);
        assert_eq!(sum, StateSum::default());
        sum.fee(AssetId(1), Units(3));
        assert_ne!(sum, StateSum::default());
    }

    #[test]
    fn generations_one_by_one_and_at_once_come_to_the_same() {
        let id = |generation| OrderId::from_parts(MarketId(2), 9, generation).unwrap();
        let steps = sum(|sum| (1..=5).for_each(|generation| sum.generation(id(generation))));
        assert_eq!(steps, sum(|sum| sum.generations(id(5))));
    }
}
