//! Behind a Redis, an engine of a few rules: enough to answer a gateway.
//!
//! A bid of 20.00 or more is filled at 20.00; an order for 6.66 lacks funds, and so does a
//! withdrawal of 666 units; an order for 7.77 is never answered; anything else rests. The replica
//! knows one open order of every account. A command that comes again is answered as the first time.
//! [`Faults`] make it lose and forget.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use protocol::query::{Answer, AnswerBody, Ask, Balance, Depth, Heartbeat, Query, Ticker};
use protocol::{
    AccountId, Action, Amend, AssetId, BookState, CancelAll, CancelKinds, Closed, ClosedReason,
    Command, Conservation, Event, FinishedOrder, FrameHeader, FrameWriter, Lots, MarketId,
    OpenOrder, OrderId, OrderKind, Origin, Outcome, Place, Price, RECORD_BYTES, Refusal,
    SelfTradePrevention, Sequence, Side, Standing, StateDigest, StreamCursor, Target, TimeInForce,
    Trade, TradeId, TransferId, TriggerDirection, TriggerPlace, Units, WaitingOrder, Withdrawn,
    keys,
};
use redis::aio::MultiplexedConnection;
use redis::streams::StreamReadReply;
use xtask::private_servers::Server;

/// A withdrawal of so much is refused.
const LACKING: Units = Units(666);
pub const FILLED_FROM: u64 = 2000;
pub const CREATED_US: u64 = 1_767_225_600_123_456;

pub async fn connect(redis: &Server) -> MultiplexedConnection {
    let config = redis::AsyncConnectionConfig::new().set_response_timeout(None);
    let client = redis::Client::open(redis.url.as_str()).unwrap();
    client.get_multiplexed_async_connection_with_config(&config).await.unwrap()
}

/// What goes wrong from now on.
pub struct Faults {
    /// So many commands are not read, as if the queue had lost them.
    pub lose_commands: usize,
    /// So many replies are not sent.
    pub lose_replies: usize,
    /// So many commands are called old.
    pub stale: usize,
    /// Says only that it recognises a command, not what it decided.
    pub forgets_frames: bool,
    pub answers_epoch: bool,
}

/// What the engine is and knows.
pub struct State {
    pub faults: Faults,
    /// Of the heartbeat.
    pub life: u32,
    pub epoch_known: u32,
    /// Name of each command that was read, in order, copies too.
    pub read: Vec<Origin>,
    /// Commands that were decided: once each.
    pub decided: usize,
    pub finished: Vec<FinishedOrder>,
    /// In ticks.
    pub best_ask: Option<u64>,
    /// The order that waits for its trigger, if one does.
    waiting: Option<WaitingOrder>,
    book_states: HashMap<MarketId, BookState>,
    frames: HashMap<Origin, (u64, Vec<u8>)>,
    transfers: Vec<(TransferId, Command, Sequence)>,
    accounts_next: u32,
    sequence: u64,
}

#[derive(Clone)]
pub struct FakeEngine {
    state: Arc<Mutex<State>>,
}

impl FakeEngine {
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

/// Runs until its test ends.
pub async fn run(redis: &Server, markets: &[&str]) -> FakeEngine {
    let (heart, commands, queries) = tokio::join!(connect(redis), connect(redis), connect(redis));
    let streams = markets.iter().chain([&keys::ACCOUNTS]).map(|stream| keys::orders(stream));
    let faults = Faults {
        lose_commands: 0,
        lose_replies: 0,
        stale: 0,
        forgets_frames: false,
        answers_epoch: true,
    };
    let state = State {
        faults,
        life: 7,
        epoch_known: 4_100_000_041,
        read: Vec::new(),
        decided: 0,
        finished: Vec::new(),
        best_ask: None,
        waiting: None,
        book_states: HashMap::from([
            (MarketId(1), BookState::Open),
            (MarketId(2), BookState::Open),
        ]),
        frames: HashMap::new(),
        transfers: Vec::new(),
        accounts_next: 5,
        sequence: 100,
    };
    let engine = FakeEngine { state: Arc::new(Mutex::new(state)) };
    tokio::spawn(beat(heart, engine.clone()));
    tokio::spawn(decide(commands, streams.collect(), engine.clone()));
    tokio::spawn(answer(queries, engine.clone()));
    engine
}

async fn beat(mut redis: MultiplexedConnection, engine: FakeEngine) {
    loop {
        let epoch = engine.state().life;
        let heartbeat =
            Heartbeat { life: epoch.into(), sequence: Sequence(1), queued: None, time_us: 1 };
        let json = serde_json::to_string(&heartbeat).unwrap();
        let mut set = redis::cmd("SET");
        set.arg(keys::HEARTBEAT).arg(json).arg("PX").arg(keys::HEARTBEAT_EXPIRES_MS);
        set.exec_async(&mut redis).await.unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn decide(mut redis: MultiplexedConnection, streams: Vec<String>, engine: FakeEngine) {
    let mut positions = vec!["0-0".to_owned(); streams.len()];
    loop {
        let mut read = redis::cmd("XREAD");
        read.arg("BLOCK").arg(0).arg("STREAMS").arg(&streams).arg(&positions);
        let reply: Option<StreamReadReply> = read.query_async(&mut redis).await.unwrap();
        for stream in reply.into_iter().flat_map(|reply| reply.keys) {
            let at = streams.iter().position(|key| *key == stream.key).unwrap();
            let mut replies = Vec::new();
            let mut channel = String::new();
            for entry in stream.ids {
                positions[at].clone_from(&entry.id);
                let record: Vec<u8> = entry.get(keys::COMMAND_FIELD).unwrap();
                let record: [u8; RECORD_BYTES] = record.try_into().unwrap();
                let mut command = Command::decode(&record).unwrap();
                command.time_us = CREATED_US;
                channel = keys::replies(command.origin.gateway);
                replies.extend(engine.state().take(&command).unwrap_or_default());
            }
            if !replies.is_empty() {
                let mut publish = redis::cmd("PUBLISH");
                publish.arg(channel).arg(replies).exec_async(&mut redis).await.unwrap();
            }
        }
    }
}

/// Whether one of these is due.
fn counted_down(count: &mut usize) -> bool {
    let is_due = 0 < *count;
    *count = count.saturating_sub(1);
    is_due
}

impl State {
    /// The reply, if there is one.
    fn take(&mut self, command: &Command) -> Option<Vec<u8>> {
        self.read.push(command.origin);
        if counted_down(&mut self.faults.lose_commands) {
            return None;
        }
        self.epoch_known = self.epoch_known.max(command.origin.epoch);
        self.sequence += 1;
        let reply = self.decide(command)?;
        (!counted_down(&mut self.faults.lose_replies)).then_some(reply)
    }

    fn decide(&mut self, command: &Command) -> Option<Vec<u8>> {
        if counted_down(&mut self.faults.stale) {
            return Some(frame(self.sequence, Outcome::Refused(Refusal::Stale), &[], command));
        }
        if let Some((first, bytes)) = self.frames.get(&command.origin) {
            let recognised = Outcome::Recognised { first: Sequence(*first) };
            return Some(match self.faults.forgets_frames {
                true => frame(self.sequence, recognised, &[], command),
                false => bytes.clone(),
            });
        }
        let (outcome, events) = self.decision(command)?;
        let bytes = frame(self.sequence, outcome, &events, command);
        self.decided += 1;
        self.frames.insert(command.origin, (self.sequence, bytes.clone()));
        Some(bytes)
    }

    fn decision(&mut self, command: &Command) -> Option<(Outcome, Vec<Event>)> {
        match command.action {
            Action::Place(place) if self.state_of(place.market) == BookState::CancelOnly => {
                Some((Outcome::Refused(Refusal::CancelOnly), Vec::new()))
            }
            Action::Place(place) => placed(&place),
            Action::PlaceTrigger(TriggerPlace { place, trigger }) => {
                let (order, direction) = (waiting_id(place.market), TriggerDirection::Rise);
                let created_us = CREATED_US;
                let place = Place { valid_until_us: 0, ..place };
                self.waiting = Some(WaitingOrder { order, place, trigger, direction, created_us });
                Some((Outcome::Waits { order, direction }, Vec::new()))
            }
            Action::Cancel { market, target: Target::Order(order), .. }
                if order == waiting_id(market) =>
            {
                let events = self.withdraw();
                let is_gone = events.is_empty();
                let gone = Outcome::Refused(Refusal::OrderNotFound);
                Some((if is_gone { gone } else { Outcome::Cancelled }, events))
            }
            Action::Cancel { market, account, .. } => {
                let reason = ClosedReason::ByRequest;
                Some((Outcome::Cancelled, vec![Event::Closed(closed(market, account, reason))]))
            }
            Action::CancelAll(CancelAll { market, account, kinds, .. }) => {
                let mut events = Vec::new();
                if kinds != CancelKinds::Waiting {
                    events.push(Event::Closed(closed(market, account, ClosedReason::ByRequest)));
                }
                if kinds != CancelKinds::Resting {
                    events.extend(self.withdraw());
                }
                Some((Outcome::Cancelled, events))
            }
            Action::Amend(amend) => Some(amended(&amend)),
            Action::SetCancelAfter { holder: Action::OWN_SWITCH, timeout_ms, .. } => {
                Some((armed(timeout_ms), Vec::new()))
            }
            Action::CreateAccount => {
                let account = AccountId::new(self.accounts_next).unwrap();
                self.accounts_next += 1;
                Some((Outcome::AccountCreated { account }, Vec::new()))
            }
            Action::Withdraw(transfer) if transfer.units == LACKING => {
                Some((Outcome::Refused(Refusal::InsufficientFunds), Vec::new()))
            }
            Action::Deposit(transfer) | Action::Withdraw(transfer) => {
                let before = self.transfers.iter().find(|(id, _, _)| *id == transfer.id);
                let outcome = match before {
                    Some((_, first, at)) if first.action == command.action => {
                        Outcome::Repeated { first: *at }
                    }
                    Some(_) => Outcome::Refused(Refusal::TransferConflict),
                    None => Outcome::Transferred,
                };
                self.transfers.push((transfer.id, *command, Sequence(self.sequence)));
                Some((outcome, Vec::new()))
            }
            Action::SetBookState { market, state } => {
                self.book_states.insert(market, state);
                Some((Outcome::BookStateSet, Vec::new()))
            }
            Action::ListMarket(_) => Some((Outcome::MarketListed, Vec::new())),
            Action::SetPriceTerms { .. } | Action::SetLotTerms { .. } => {
                Some((Outcome::TermsSet, Vec::new()))
            }
            Action::Fire(_) | Action::SetCancelAfter { .. } | Action::ExpireCancelAfter { .. } => {
                None
            }
        }
    }

    /// The order that waits does so no more.
    fn withdraw(&mut self) -> Vec<Event> {
        let reason = ClosedReason::ByRequest;
        let waiting = self.waiting.take();
        waiting.map(|waiting| Event::Withdrawn(Withdrawn { waiting, reason })).into_iter().collect()
    }

    pub fn set_book_state(&mut self, market: u16, state: BookState) {
        self.book_states.insert(MarketId(market), state);
    }

    fn state_of(&self, market: MarketId) -> BookState {
        self.book_states.get(&market).copied().unwrap_or_default()
    }
}

fn frame(sequence: u64, outcome: Outcome, events: &[Event], command: &Command) -> Vec<u8> {
    let mut writer = FrameWriter::new(events.len());
    for event in events {
        writer.push(event);
    }
    let header = FrameHeader {
        sequence: Sequence(sequence),
        previous: None,
        cursor: StreamCursor::START,
        outcome,
        held: Units::ZERO,
        digest: StateDigest::default(),
    };
    writer.finish(&header, command).concat()
}

pub fn order_id(market: MarketId) -> OrderId {
    OrderId::from_parts(market, 3, 1).unwrap()
}

pub fn waiting_id(market: MarketId) -> OrderId {
    OrderId::from_parts(market, 4, 1).unwrap()
}

fn armed(timeout_ms: u32) -> Outcome {
    let after_us = u64::from(timeout_ms) * 1000;
    let deadline_us = if after_us == 0 { 0 } else { CREATED_US + after_us };
    Outcome::CancelAfterSet { deadline_us }
}

/// The open order as it is to be; nothing of it trades.
fn amended(amend: &Amend) -> (Outcome, Vec<Event>) {
    let before = closed(amend.market, amend.account, ClosedReason::Amended);
    let executed = before.lots.0 - before.lots_left.0;
    let lots = amend.lots.unwrap_or(before.lots);
    if lots.0 <= executed {
        return (Outcome::Refused(Refusal::AlreadyExecuted), Vec::new());
    }
    let (order, lots_left) = (before.order, Lots(lots.0 - executed));
    (Outcome::Rested { order, lots_left }, vec![Event::Closed(before)])
}

fn placed(place: &Place) -> Option<(Outcome, Vec<Event>)> {
    let order = order_id(place.market);
    let (OrderKind::Limit { lots, .. } | OrderKind::MarketByLots { lots }) = place.kind else {
        let reason = ClosedReason::InsufficientLiquidity;
        return Some((Outcome::Expired { order, lots_left: Lots(0), reason }, Vec::new()));
    };
    match (lots.0, place.kind) {
        (666, _) => Some((Outcome::Refused(Refusal::InsufficientFunds), Vec::new())),
        (777, _) => None,
        (_, OrderKind::Limit { price, .. })
            if place.side == Side::Bid && FILLED_FROM <= price.ticks() =>
        {
            let trade = Trade {
                id: TradeId(1),
                maker_account: AccountId::new(9).unwrap(),
                maker_order: order,
                taker_side: Side::Bid,
                price: Price::from_ticks(FILLED_FROM).unwrap(),
                lots,
                maker_fee: Units(0),
                taker_fee: Units(10_000_000),
                maker_lots_left: Lots(0),
            };
            Some((Outcome::Filled { order }, vec![Event::Trade(trade)]))
        }
        _ => Some((Outcome::Rested { order, lots_left: lots }, Vec::new())),
    }
}

fn closed(market: MarketId, account: AccountId, reason: ClosedReason) -> Closed {
    let open = open(market, account);
    Closed {
        order: open.order,
        account,
        client_id: open.client_id,
        side: open.side,
        time_in_force: open.time_in_force,
        self_trade_prevention: open.self_trade_prevention,
        post_only: open.post_only,
        reason,
        price: open.price,
        lots: open.lots,
        lots_left: open.lots_left,
        executed_quote: open.executed_quote,
        created_us: open.created_us,
    }
}

fn open(market: MarketId, account: AccountId) -> OpenOrder {
    OpenOrder {
        order: order_id(market),
        account,
        client_id: None,
        market,
        side: Side::Ask,
        time_in_force: TimeInForce::GoodTillCancelled,
        self_trade_prevention: SelfTradePrevention::RejectTaker,
        post_only: false,
        price: Price::from_ticks(2100).unwrap(),
        lots: Lots(125),
        lots_left: Lots(100),
        executed_quote: Units(5_250_000),
        created_us: CREATED_US,
    }
}

async fn answer(mut redis: MultiplexedConnection, engine: FakeEngine) {
    loop {
        let mut pop = redis::cmd("BRPOP");
        pop.arg(keys::QUERIES).arg(0);
        let (_, json): (String, String) = pop.query_async(&mut redis).await.unwrap();
        let query: Query = serde_json::from_str(&json).unwrap();
        let Some(body) = body(&query, &engine.state()) else { continue };
        let answer = Answer { id: query.id, life: query.life, sequence: query.min_sequence, body };
        let mut publish = redis::cmd("PUBLISH");
        publish.arg(keys::replies(query.gateway)).arg(serde_json::to_string(&answer).unwrap());
        publish.exec_async(&mut redis).await.unwrap();
    }
}

fn body(query: &Query, state: &State) -> Option<AnswerBody> {
    Some(match query.ask {
        Ask::Balances { .. } => AnswerBody::Balances(vec![Balance {
            asset: AssetId(1),
            available: Units(1_500_000),
            // Tells what the gateway has seen.
            locked: Units(query.min_sequence.0),
        }]),
        Ask::Order { account, market, target } => {
            let open = open(market, account);
            let resting = Standing::Rests(open, None);
            let waiting = state.waiting.map(Standing::Waits);
            AnswerBody::Order([Some(resting), waiting].into_iter().flatten().find(
                |it| match target {
                    Target::Order(order) => it.order() == order,
                    Target::Client(_) => true,
                },
            ))
        }
        Ask::OpenOrders { account, .. } => {
            let resting = Standing::Rests(open(MarketId(1), account), None);
            let waiting = state.waiting.map(Standing::Waits);
            AnswerBody::OpenOrders([Some(resting), waiting].into_iter().flatten().collect())
        }
        Ask::Depth { .. } => AnswerBody::Depth(Depth {
            bids: vec![(Price::from_ticks(1999).unwrap(), Lots(5))],
            asks: state
                .best_ask
                .and_then(Price::from_ticks)
                .map(|ask| (ask, Lots(7)))
                .into_iter()
                .collect(),
            update_id: 4,
            time_us: CREATED_US,
        }),
        Ask::Tickers { .. } => AnswerBody::Tickers(vec![Ticker {
            market: MarketId(1),
            first: None,
            last: None,
            high: None,
            low: None,
            lots: 0,
            quote: 0,
            trades: 0,
        }]),
        Ask::Account { account } => AnswerBody::Account { exists: account.get() <= 5 },
        Ask::FinishedOrders { market, .. } => {
            let mut finished = state.finished.clone();
            finished.retain(|order| market.is_none_or(|market| order.market == market));
            AnswerBody::FinishedOrders(finished)
        }
        Ask::BookStates => {
            AnswerBody::BookStates(state.book_states.iter().map(|(id, it)| (*id, *it)).collect())
        }
        Ask::Epoch { .. } if !state.faults.answers_epoch => return None,
        Ask::Epoch { .. } => AnswerBody::Epoch(state.epoch_known),
        Ask::Conservation => AnswerBody::Conservation(vec![Conservation {
            asset: AssetId(1),
            deposited: 10_000_000,
            withdrawn: 1_000_000,
            available: 6_000_000,
            locked: 2_500_000,
            fees: 500_000,
            held: 2_500_000,
        }]),
        // Asked by fan-outs alone.
        Ask::DepthSince { .. } | Ask::Trades { .. } | Ask::Listen { .. } => return None,
    })
}
