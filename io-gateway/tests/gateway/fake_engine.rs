//! Behind a Redis, an engine of a few rules: enough to answer a gateway.
//!
//! A bid of 20.00 or more is filled at 20.00; an order for 6.66 lacks funds; one for 7.77 is never
//! answered; anything else rests. The replica knows one open order of every account.

use std::time::Duration;

use protocol::query::{Answer, AnswerBody, Ask, Balance, Depth, Heartbeat, Query, Ticker};
use protocol::{
    AccountId, Action, AssetId, Closed, ClosedReason, Command, Event, FrameHeader, FrameWriter,
    Lots, MarketId, OpenOrder, OrderId, OrderKind, Outcome, Place, Price, RECORD_BYTES, Refusal,
    SelfTradePrevention, Sequence, Side, StreamCursor, TimeInForce, Trade, TradeId, TransferId,
    Units, keys,
};
use redis::aio::MultiplexedConnection;
use redis::streams::StreamReadReply;
use xtask::private_servers::Server;

pub const FILLED_FROM: u64 = 2000;
pub const CREATED_US: u64 = 1_767_225_600_123_456;

pub async fn connect(redis: &Server) -> MultiplexedConnection {
    let config = redis::AsyncConnectionConfig::new().set_response_timeout(None);
    let client = redis::Client::open(redis.url.as_str()).unwrap();
    client.get_multiplexed_async_connection_with_config(&config).await.unwrap()
}

/// Runs until its task is aborted.
pub async fn run(redis: &Server, markets: &[&str]) -> Vec<tokio::task::JoinHandle<()>> {
    let (heart, commands, queries) = tokio::join!(connect(redis), connect(redis), connect(redis));
    let streams = markets.iter().chain([&keys::ACCOUNTS]).map(|stream| keys::orders(stream));
    vec![
        tokio::spawn(beat(heart)),
        tokio::spawn(decide(commands, streams.collect())),
        tokio::spawn(answer(queries)),
    ]
}

async fn beat(mut redis: MultiplexedConnection) {
    loop {
        let heartbeat = Heartbeat { epoch: 7, sequence: Sequence(1), time_us: 1 };
        let json = serde_json::to_string(&heartbeat).unwrap();
        let mut set = redis::cmd("SET");
        set.arg(keys::HEARTBEAT).arg(json).arg("PX").arg(keys::HEARTBEAT_EXPIRES_MS);
        set.exec_async(&mut redis).await.unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn decide(mut redis: MultiplexedConnection, streams: Vec<String>) {
    let mut positions = vec!["0-0".to_owned(); streams.len()];
    let mut transfers: Vec<(TransferId, Command, Sequence)> = Vec::new();
    let mut sequence = 100;
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
                sequence += 1;
                if let Some((outcome, events)) = decision(&command, sequence, &mut transfers) {
                    replies.extend(frame(sequence, outcome, &events, &command));
                }
            }
            if !replies.is_empty() {
                let mut publish = redis::cmd("PUBLISH");
                publish.arg(channel).arg(replies).exec_async(&mut redis).await.unwrap();
            }
        }
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
    };
    writer.finish(&header, command).concat()
}

pub fn order_id(market: MarketId) -> OrderId {
    OrderId::from_parts(market, 3, 1).unwrap()
}

fn decision(
    command: &Command,
    sequence: u64,
    transfers: &mut Vec<(TransferId, Command, Sequence)>,
) -> Option<(Outcome, Vec<Event>)> {
    match command.action {
        Action::Place(place) => placed(&place),
        Action::Cancel { market, account, .. } | Action::CancelAll { market, account } => {
            Some((Outcome::Cancelled, vec![Event::Closed(closed(market, account))]))
        }
        Action::CreateAccount => {
            let account = AccountId::new(5).unwrap();
            Some((Outcome::AccountCreated { account }, Vec::new()))
        }
        Action::Deposit(transfer) | Action::Withdraw(transfer) => {
            let before = transfers.iter().find(|(id, _, _)| *id == transfer.id);
            let outcome = match before {
                Some((_, first, at)) if first.action == command.action => {
                    Outcome::Repeated { first: *at }
                }
                Some(_) => Outcome::Refused(Refusal::TransferConflict),
                None => Outcome::Transferred,
            };
            transfers.push((transfer.id, *command, Sequence(sequence)));
            Some((outcome, Vec::new()))
        }
    }
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

fn closed(market: MarketId, account: AccountId) -> Closed {
    let open = open(market, account);
    Closed {
        order: open.order,
        account,
        client_id: open.client_id,
        side: open.side,
        time_in_force: open.time_in_force,
        self_trade_prevention: open.self_trade_prevention,
        post_only: open.post_only,
        reason: ClosedReason::ByRequest,
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

async fn answer(mut redis: MultiplexedConnection) {
    loop {
        let mut pop = redis::cmd("BRPOP");
        pop.arg(keys::QUERIES).arg(0);
        let (_, json): (String, String) = pop.query_async(&mut redis).await.unwrap();
        let query: Query = serde_json::from_str(&json).unwrap();
        let body = match query.ask {
            Ask::Balances { .. } => AnswerBody::Balances(vec![Balance {
                asset: AssetId(1),
                available: Units(1_500_000),
                // Tells what the gateway has seen.
                locked: Units(query.min_sequence.0),
            }]),
            Ask::Order { account, market, .. } => AnswerBody::Order(Some(open(market, account))),
            Ask::OpenOrders { account, .. } => {
                AnswerBody::OpenOrders(vec![open(MarketId(1), account)])
            }
            Ask::Depth { .. } => AnswerBody::Depth(Depth {
                bids: vec![(Price::from_ticks(1999).unwrap(), Lots(5))],
                asks: Vec::new(),
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
        };
        let answer =
            Answer { id: query.id, epoch: query.epoch, sequence: query.min_sequence, body };
        let mut publish = redis::cmd("PUBLISH");
        publish.arg(keys::replies(query.gateway)).arg(serde_json::to_string(&answer).unwrap());
        publish.exec_async(&mut redis).await.unwrap();
    }
}
