//! What clients ask: orders that trade, rest, wait, are refused, changed and cancelled, deposits
//! and withdrawals, some of them twice. Funds are short, so that holds fail.

use engine_core::cancel_after::Deadline;
use orderflow::rng::Rng;
use protocol::{
    AccountId, Action, Amend, BookState, ClientId, FeeRate, GatewayId, LotTerms, Lots, MarketId,
    OrderId, OrderKind, Place, Price, PriceTerms, SelfTradePrevention, Side, Target, TimeInForce,
    Transfer, TransferId, Trigger, TriggerBy, TriggerPlace, Units, fixture,
};

use crate::listing::{ACCOUNTS_MAX, ASSETS, PRICE, times};

/// Accounts that are made and funded before anything else.
pub const ACCOUNTS: u32 = 4;
const FUNDS: u64 = 60_000;
/// Orders that clients remember to cancel.
const KNOWN_ORDERS_MAX: usize = 24;
/// Deadlines of dead man's switches that are remembered to say that they have come.
const DEADLINES_MAX: usize = 6;
/// The account itself, and fan-outs.
const HOLDERS: u64 = 4;

#[derive(Debug)]
pub struct Workload {
    rng: Rng,
    transfers: u64,
    known_orders: Vec<(AccountId, OrderId)>,
    deadlines: Vec<Deadline>,
}

/// How everything begins.
pub fn opening() -> Vec<Action> {
    let create = (0..ACCOUNTS).map(|_| Action::CreateAccount);
    let deposit = |number: u32| {
        let (account, asset) = (1 + number / 3, ASSETS[(number % 3) as usize]);
        let account = AccountId::new(account)?;
        let id = TransferId(u128::from(number) + 1);
        Some(Action::Deposit(Transfer { account, asset, units: Units(FUNDS), id }))
    };
    create.chain((0..3 * ACCOUNTS).filter_map(deposit)).collect()
}

impl Workload {
    pub fn new(rng: Rng) -> Workload {
        Workload { rng, transfers: 1000, known_orders: Vec::new(), deadlines: Vec::new() }
    }

    /// A client has heard that its order rests.
    pub fn rests(&mut self, account: AccountId, order: OrderId) {
        if KNOWN_ORDERS_MAX <= self.known_orders.len() {
            self.known_orders.remove(0);
        }
        self.known_orders.push((account, order));
    }

    /// Somebody has heard when orders are to be cancelled.
    pub fn armed(&mut self, deadline: Deadline) {
        if DEADLINES_MAX <= self.deadlines.len() {
            self.deadlines.remove(0);
        }
        self.deadlines.push(deadline);
    }

    pub fn action(&mut self) -> Action {
        let market = MarketId(1 + self.rng.below(3) as u16);
        match self.rng.below(100) {
            0..12 => self.transfer(),
            12..24 => self.cancel(market),
            24..27 => Action::cancel_all(market, self.account()),
            27 | 28 => self.rare(market),
            29 => {
                let state = BookState::ALL[self.rng.below(5) as usize];
                Action::SetBookState { market, state }
            }
            30..33 => Action::SetBookState { market, state: BookState::Open },
            33..43 => self.amend(market),
            43 | 44 => {
                let (account, holder) = (self.account(), self.holder());
                let timeout_ms = 100 * self.rng.below(4) as u32;
                Action::SetCancelAfter { account, holder, timeout_ms }
            }
            45 => self.expiry(),
            46..60 => self.place_trigger(market),
            _ => Action::Place(self.place(market)),
        }
    }

    /// Its trigger is near what is traded, so that one that fires makes others fire.
    fn place_trigger(&mut self, market: MarketId) -> Action {
        let place = self.place(market);
        let price = Price::from_ticks(PRICE - 4 + self.rng.below(9)).unwrap();
        let trigger = Trigger { price, by: TriggerBy::LastPrice };
        Action::PlaceTrigger(TriggerPlace { place, trigger })
    }

    fn holder(&mut self) -> GatewayId {
        GatewayId(self.rng.below(HOLDERS) as u32)
    }

    /// Of a deadline that somebody heard of, which may be moved by now or not have come; or a
    /// socket has closed.
    fn expiry(&mut self) -> Action {
        let known = self.deadlines.len() as u64;
        if 0 < known && self.rng.below(3) != 0 {
            let at = self.rng.below(known) as usize;
            let Deadline { account, holder, deadline_us } = self.deadlines.swap_remove(at);
            return Action::ExpireCancelAfter { account, holder, deadline_us };
        }
        let (account, holder) = (self.account(), self.holder());
        Action::ExpireCancelAfter { account, holder, deadline_us: 0 }
    }

    fn amend(&mut self, market: MarketId) -> Action {
        let (market, account, target) = self.named(market);
        let rng = &mut self.rng;
        let price = (rng.below(2) == 0).then(|| Price::from_ticks(PRICE - 3 + rng.below(7)));
        let lots = (rng.below(4) != 0).then(|| Lots(1 + rng.below(30)));
        let price = price.flatten();
        Action::Amend(Amend { market, account, target, price, lots, valid_until_us: 0 })
    }

    fn rare(&mut self, market: MarketId) -> Action {
        let rng = &mut self.rng;
        match rng.below(3) {
            0 => Action::CreateAccount,
            1 => {
                let price_min = fixture::price(PRICE - 3 - rng.below(4));
                let price_max = fixture::price(PRICE + 2 + rng.below(4));
                // Some are such as no market can have.
                let (least, most) = (960 + rng.below(50) as u32, 1000 + rng.below(40) as u32);
                let band = times(1000 * least, 1000 * most);
                let impact = times(995_000, 1_000_000 + 1000 * rng.below(30) as u32);
                let terms = PriceTerms { price_min, price_max, band, impact };
                Action::SetPriceTerms { market, terms }
            }
            _ => {
                let (lots_min, lots_max) = (Lots(rng.below(4)), Lots(20 + rng.below(20)));
                let maker_fee = FeeRate { millionths: rng.below(5000) as u32 };
                let taker_fee = FeeRate { millionths: rng.below(9000) as u32 };
                let terms = LotTerms { lots_min, lots_max, maker_fee, taker_fee };
                Action::SetLotTerms { market, terms }
            }
        }
    }

    fn account(&mut self) -> AccountId {
        // Now and then one that does not exist.
        let id = 1 + self.rng.below(u64::from(ACCOUNTS)) as u32;
        let id = if self.rng.below(64) == 0 { ACCOUNTS_MAX + 1 } else { id };
        AccountId::new(id).unwrap()
    }

    fn transfer(&mut self) -> Action {
        self.transfers += 1;
        // One in eight says again what an earlier one said, or contradicts it.
        let again = self.rng.below(8) == 0;
        let back = if again { 1 + self.rng.below(6) } else { 0 };
        let transfer = Transfer {
            account: self.account(),
            asset: ASSETS[self.rng.below(3) as usize],
            units: Units(1 + self.rng.below(FUNDS / 3)),
            id: TransferId(u128::from(self.transfers - back)),
        };
        if self.rng.below(2) == 0 { Action::Deposit(transfer) } else { Action::Withdraw(transfer) }
    }

    fn cancel(&mut self, market: MarketId) -> Action {
        let (market, account, target) = self.named(market);
        Action::Cancel { market, account, target }
    }

    /// An order that a client knows of, or one of some name.
    fn named(&mut self, market: MarketId) -> (MarketId, AccountId, Target) {
        let known = self.known_orders.len() as u64;
        if 0 < known && self.rng.below(4) != 0 {
            let (account, order) = self.known_orders[self.rng.below(known) as usize];
            return (order.market(), account, Target::Order(order));
        }
        let target = Target::Client(ClientId(self.rng.below(8) as u32));
        (market, self.account(), target)
    }

    fn place(&mut self, market: MarketId) -> Place {
        let rng = &mut self.rng;
        let side = if rng.below(2) == 0 { Side::Bid } else { Side::Ask };
        let ticks = PRICE - 3 + rng.below(7);
        let lots = Lots(1 + rng.below(30));
        let kind = match rng.below(12) {
            0 => OrderKind::MarketByLots { lots },
            1 => OrderKind::MarketByQuote { quote: Units(1 + rng.below(FUNDS / 2)) },
            kind => OrderKind::Limit {
                price: Price::from_ticks(ticks).unwrap(),
                lots,
                post_only: kind == 2,
            },
        };
        let rests = matches!(kind, OrderKind::Limit { .. }) && rng.below(6) != 0;
        let time_in_force = match (rests, rng.below(2)) {
            (true, _) => TimeInForce::GoodTillCancelled,
            (false, 0) => TimeInForce::ImmediateOrCancel,
            (false, _) => TimeInForce::FillOrKill,
        };
        let self_trade_prevention = [
            SelfTradePrevention::RejectMaker,
            SelfTradePrevention::RejectTaker,
            SelfTradePrevention::RejectBoth,
        ][rng.below(3) as usize];
        let client_id = (rng.below(3) == 0).then(|| ClientId(rng.below(8) as u32));
        Place {
            market,
            account: self.account(),
            side,
            kind,
            time_in_force,
            self_trade_prevention,
            client_id,
            valid_until_us: 0,
        }
    }
}
