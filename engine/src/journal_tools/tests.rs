//! Journals of a real exchange, and what the tools say of them.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;

use engine_core::replica::Replica;
use engine_core::{Input, Ledger, Sequencer, Shard};
use protocol::fixture::{self, BASE, MARKET, QUOTE};
use protocol::{
    AccountId, Action, BookState, ClientId, Command, FeeRate, Frame, GatewayId, Lots, MarketSpec,
    Origin, Side, StreamCursor, Target, Transfer, TransferId, Units,
};
use serde_json::Value;

use super::*;
use crate::disk::DiskFile;
use crate::journal::reader;
use crate::journal::segment::{self, JournalId};
use crate::journal::tests::Folder;
use crate::journal::writer::{Durability, Writer, WriterSettings};
use crate::snapshot::{self, Snapshot};

const LIMITS: ShardLimits = ShardLimits {
    orders_max: 64,
    open_orders_per_account_max: 32,
    trades_per_command_max: 16,
    accounts_max: 8,
    markets_max: 5,
};
/// A day in 2026.
const TIME_US: u64 = 1_795_465_234_000_000;

fn account(id: u32) -> AccountId {
    AccountId::new(id).unwrap()
}

fn limit(id: u32, side: Side, ticks: u64, lots: u64) -> Action {
    Action::Place(fixture::limit(MARKET, id, side, ticks, lots))
}

/// An engine on one thread that is started as often as a test wants.
struct Exchange {
    folder: Folder,
    folders: Folders,
    catalog: Catalog,
    /// What the shard is bound by.
    limits: ShardLimits,
    /// What the journal says that it is bound by.
    written_limits: ShardLimits,
    shard: Shard,
    replica: Replica,
    writer: Writer,
    steps: u64,
}

impl Exchange {
    fn start(catalog: &Catalog, limits: ShardLimits) -> Exchange {
        Exchange::start_as(catalog, limits, limits)
    }

    fn start_as(catalog: &Catalog, limits: ShardLimits, written: ShardLimits) -> Exchange {
        let folder = Folder::new();
        let folders = Folders::create(&RealDisk, &folder.0).unwrap();
        let replica = Replica::new(catalog.clone());
        let (shard, writer) = Exchange::open(&folders, catalog, limits, &written, &replica);
        let (catalog, written_limits, steps) = (catalog.clone(), written, 0);
        Exchange { folder, folders, catalog, limits, written_limits, shard, replica, writer, steps }
    }

    fn open(
        folders: &Folders,
        catalog: &Catalog,
        limits: ShardLimits,
        written: &ShardLimits,
        replica: &Replica,
    ) -> (Shard, Writer) {
        let definitions = Definitions::of(catalog, written);
        let source = reader::Source {
            disk: &RealDisk,
            directory: &folders.journal,
            definitions: Some(&definitions),
            begin: reader::Begin::First,
        };
        let tail = reader::replay(&source, |_| Ok::<_, JournalError>(())).unwrap();
        let settings = WriterSettings {
            disk: Arc::new(RealDisk),
            directory: folders.journal.clone(),
            durability: Durability::Write,
            segment_bytes: 4096,
        };
        let writer = Writer::open(settings, definitions, tail, JournalId([3; 16])).unwrap();
        let ledger = Arc::new(Ledger::new(limits.accounts_max, catalog.asset_columns()));
        for balance in replica.balances() {
            ledger.restore(balance.account, balance.asset, balance.available);
        }
        let sequencer = Arc::new(Sequencer::after(replica.last_sequence()));
        let mut shard = Shard::new(ledger, sequencer, limits);
        for spec in catalog.markets() {
            shard.add_market(spec.clone(), replica.market_state(spec.id)).unwrap();
        }
        shard.own_accounts(catalog, replica.accounts_state());
        (shard, writer)
    }

    fn restart(&mut self, catalog: &Catalog) {
        self.catalog = catalog.clone();
        let written = &self.written_limits;
        (self.shard, self.writer) =
            Exchange::open(&self.folders, catalog, self.limits, written, &self.replica);
    }

    /// Carries out the commands and writes their frames as one block.
    fn block(&mut self, actions: &[Action]) {
        let mut frames = Vec::new();
        for action in actions {
            self.steps += 1;
            let origin = Origin { gateway: GatewayId(1), epoch: 1, sequence: self.steps };
            self.carry_out(origin, *action, &mut frames);
        }
        self.writer.append(self.replica.position(), &frames).unwrap();
    }

    fn carry_out(&mut self, origin: Origin, action: Action, frames: &mut Vec<u8>) {
        let command = Command { origin, time_us: TIME_US + self.steps, action };
        let cursor = StreamCursor { milliseconds: self.steps, counter: 0 };
        let bytes = self.shard.apply(&Input { cursor, command }).as_flattened().to_vec();
        self.replica.apply(&Frame::parse(&bytes).unwrap()).unwrap();
        frames.extend_from_slice(&bytes);
    }

    fn fund(&mut self) {
        for id in [1, 2] {
            let deposit = |asset, number| {
                let (account, units) = (account(id), Units(1_000_000));
                let id = TransferId(u128::from(id) << 16 | number);
                Action::Deposit(Transfer { account, asset, units, id })
            };
            self.block(&[Action::CreateAccount, deposit(QUOTE, 1), deposit(BASE, 2)]);
        }
    }

    /// A bit of everything: frames 7 to 17.
    fn trade(&mut self) {
        self.block(&[limit(1, Side::Ask, 101, 5), limit(1, Side::Ask, 101, 5)]);
        self.block(&[limit(2, Side::Bid, 102, 7)]);
        let target = Target::Client(ClientId(9));
        let cancel = Action::Cancel { market: MARKET, account: account(2), target };
        self.block(&[limit(2, Side::Bid, 1_000_000, 1_000_000), cancel]);
        self.block(&[Action::cancel_all(MARKET, account(1))]);
        let (account, asset, units) = (account(2), QUOTE, Units(500));
        let id = TransferId(77);
        let withdraw = Action::Withdraw(Transfer { account, asset, units, id });
        self.block(&[withdraw, withdraw]);
        let set = |state| Action::SetBookState { market: MARKET, state };
        let ask = limit(1, Side::Ask, 101, 1);
        self.block(&[set(BookState::CancelOnly), ask, set(BookState::Open)]);
    }

    fn sample() -> Exchange {
        let mut exchange = Exchange::start(&fixture::round_catalog(), LIMITS);
        exchange.fund();
        exchange.trade();
        exchange
    }

    fn segments(&self) -> Vec<PathBuf> {
        let segments = segment::list(&RealDisk, &self.folders.journal).unwrap();
        segments.into_iter().map(|(_, path)| path).collect()
    }

    fn ask(&self, verb: JournalVerb) -> (Verdict, String) {
        let mut out = Vec::new();
        let verdict = run(&RealDisk, &self.folder.0, verb, &mut out).unwrap();
        (verdict, String::from_utf8(out).unwrap())
    }

    fn verify(&self) -> (Verdict, Value) {
        let (verdict, text) = self.ask(JournalVerb::Verify { json: true });
        (verdict, serde_json::from_str(&text).unwrap())
    }

    fn dump(&self, from: u64, to: u64, stream: Option<&str>) -> Vec<Value> {
        let stream = stream.map(str::to_owned);
        let (verdict, text) = self.ask(JournalVerb::Dump { from, to, stream, json: true });
        assert_eq!(verdict, Verdict::Right);
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Flips a bit this many bytes before the end of the last block.
    fn damage(&self, back: u64) {
        let (_, found) = self.ask(JournalVerb::Inspect { json: true });
        let found: Value = serde_json::from_str(&found).unwrap();
        let end = found["tail"]["offset"].as_u64().unwrap();
        let path = self.segments().pop().unwrap();
        let file = fs::OpenOptions::new().read(true).write(true).open(path).unwrap();
        let mut byte = [0];
        file.read_exact_at(&mut byte, end - back).unwrap();
        file.write_all_at(&[byte[0] ^ 4], end - back).unwrap();
    }

    fn snapshot(&self) {
        let definitions = Definitions::of(&self.catalog, &self.limits);
        let made = Snapshot::of(&self.replica, self.writer.mark(), definitions, TIME_US);
        let care =
            snapshot::write::Care { free_bytes_min: 0, unsynced_journal: None, goes_on: &|| true };
        snapshot::write::write(&RealDisk, &self.folders.snapshots, &made, &care).unwrap();
    }
}

#[test]
fn a_journal_of_everything_is_right() {
    let exchange = Exchange::sample();
    let (verdict, found) = exchange.verify();
    assert_eq!((verdict, &found["problem"]), (Verdict::Right, &Value::Null), "{found}");
    let last = exchange.steps;
    assert_eq!((&found["frames"], &found["last"]), (&Value::from(last), &Value::from(last)));
    assert_eq!((&found["asTold"], &found["compared"]), (&1.into(), &Value::from(last - 1)));
    let (_, text) = exchange.ask(JournalVerb::Verify { json: false });
    assert!(text.ends_with("the journal is right\n"), "{text}");
}

#[test]
fn an_empty_folder_has_a_journal_that_is_right() {
    let exchange = Exchange::start(&fixture::round_catalog(), LIMITS);
    fs::remove_file(&exchange.segments()[0]).unwrap();
    for verb in [JournalVerb::Inspect { json: false }, JournalVerb::Verify { json: false }] {
        assert_eq!(exchange.ask(verb).0, Verdict::Right);
    }
    assert!(exchange.dump(1, 9, None).is_empty());
}

#[test]
fn starts_in_between_change_nothing() {
    let catalog = fixture::round_catalog();
    let mut exchange = Exchange::start(&catalog, LIMITS);
    exchange.fund();
    for round in 0..6 {
        let ask = limit(1, Side::Ask, 101, 5);
        exchange.block(&[ask, ask, ask, limit(2, Side::Bid, 101, 5 + round)]);
        exchange.restart(&catalog);
        exchange.block(&[limit(2, Side::Bid, 103, 6), limit(2, Side::Bid, 90, 1)]);
        exchange.block(&[Action::cancel_all(MARKET, account(1))]);
    }
    let (verdict, found) = exchange.verify();
    assert_eq!(verdict, Verdict::Right, "{found}");
}

#[test]
fn commands_that_come_again_are_carried_out_again_as_recognised() {
    let mut exchange = Exchange::sample();
    let mut frames = Vec::new();
    let origin = Origin { gateway: GatewayId(1), epoch: 1, sequence: 9 };
    exchange.carry_out(origin, limit(2, Side::Bid, 102, 7), &mut frames);
    exchange.writer.append(exchange.replica.position(), &frames).unwrap();
    assert_eq!(exchange.verify().0, Verdict::Right);
    let last = exchange.replica.position().0;
    let shown = exchange.dump(last, last, None).remove(0);
    assert_eq!(shown["outcome"], serde_json::json!({ "type": "recognised", "first": 9 }));
}

#[test]
fn terms_are_those_of_the_segment() {
    let mut exchange = Exchange::sample();
    let market = MarketSpec {
        taker_fee: FeeRate { millionths: 50_000 },
        lots_max: Lots(6),
        ..fixture::round_catalog().markets()[0].clone()
    };
    let catalog = Catalog::new(exchange.catalog.assets().to_vec(), vec![market]).unwrap();
    exchange.restart(&catalog);
    exchange.block(&[limit(1, Side::Ask, 101, 5), limit(2, Side::Bid, 101, 7)]);
    exchange.block(&[limit(2, Side::Bid, 101, 5)]);
    let (verdict, found) = exchange.verify();
    assert_eq!(verdict, Verdict::Right, "{found}");
    let (_, text) = exchange.ask(JournalVerb::Inspect { json: false });
    assert!(text.contains("definitions changed"), "{text}");
}

#[test]
fn what_comes_to_something_else_is_named_with_both() {
    // The journal says that an account has one open order at most: the engine did not hold to it.
    let written = ShardLimits { open_orders_per_account_max: 1, ..LIMITS };
    let mut exchange = Exchange::start_as(&fixture::round_catalog(), LIMITS, written);
    exchange.fund();
    exchange.trade();
    let (verdict, found) = exchange.verify();
    assert_eq!((verdict, &found["problem"]), (Verdict::Wrong, &Value::Null), "{found}");
    let differences = found["differences"].as_array().unwrap();
    let sequences: Vec<_> = differences.iter().map(|it| it["sequence"].as_u64().unwrap()).collect();
    assert_eq!(sequences, [8]);
    let (expected, found) = (&differences[0]["expected"], &differences[0]["found"]);
    assert!(expected.as_str().unwrap().contains("refused: TooManyOpenOrders"), "{expected}");
    assert!(found.as_str().unwrap().contains(" rests with 0.5"), "{found}");
    let (_, text) = exchange.ask(JournalVerb::Verify { json: false });
    assert!(text.ends_with("1 frames differ\n"), "{text}");
}

#[test]
fn damage_is_told_with_file_and_offset_and_a_torn_tail_is_no_damage() {
    let exchange = Exchange::sample();
    exchange.damage(100);
    let (verdict, found) = exchange.verify();
    assert_eq!(verdict, Verdict::Right, "{found}");
    assert_ne!(found["tornBytes"], 0);
    let (verdict, text) = exchange.ask(JournalVerb::Inspect { json: false });
    assert_eq!(verdict, Verdict::Right);
    assert!(text.contains("are no whole block"), "{text}");
    exchange.damage(400);
    let exchange = Exchange::sample();
    exchange.damage(1000);
    for verb in [JournalVerb::Inspect { json: false }, JournalVerb::Verify { json: false }] {
        let (verdict, text) = exchange.ask(verb);
        assert_eq!(verdict, Verdict::Wrong);
        assert!(text.contains(".journal is damaged at byte "), "{text}");
    }
}

#[test]
fn every_segment_is_inspected_whatever_is_wrong_with_another() {
    let mut exchange = Exchange::sample();
    (0..4).for_each(|_| exchange.trade());
    let segments = exchange.segments();
    assert!(2 < segments.len());
    fs::write(&segments[0], b"scratched").unwrap();
    let (verdict, text) = exchange.ask(JournalVerb::Inspect { json: true });
    let found: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(verdict, Verdict::Wrong);
    let shown = found["segments"].as_array().unwrap();
    assert_eq!(shown.len(), segments.len());
    assert!(shown[0]["problem"].as_str().unwrap().contains("is no journal segment"));
    assert!(shown[1..].iter().all(|segment| segment["problem"].is_null()), "{text}");
    assert_eq!(found["last"], exchange.replica.position().0);
    assert_eq!(found["journal"], "03".repeat(16));
}

#[test]
fn snapshots_are_compared_and_stand_for_what_is_gone() {
    let mut exchange = Exchange::sample();
    (0..3).for_each(|_| exchange.trade());
    exchange.snapshot();
    let kept_from = exchange.replica.position();
    exchange.trade();
    exchange.snapshot();
    exchange.trade();
    let (verdict, found) = exchange.verify();
    assert_eq!((verdict, &found["snapshots"]), (Verdict::Right, &2.into()), "{found}");
    crate::journal::retention::remove_before(&RealDisk, &exchange.folders.journal, kept_from)
        .unwrap();
    let (verdict, found) = exchange.verify();
    assert_eq!((verdict, &found["snapshots"]), (Verdict::Right, &2.into()), "{found}");
    assert_eq!(found["first"], kept_from.0 + 1);
    assert_eq!(found["last"], exchange.replica.position().0);
    // Without its snapshots it cannot be carried out again.
    for (_, path) in snapshot::list(&RealDisk, &exchange.folders.snapshots).unwrap() {
        let mut file = RealDisk.open(&path).unwrap();
        DiskFile::write_at(&mut *file, 200, &[b"scratch"]).unwrap();
    }
    let (verdict, found) = exchange.verify();
    assert_eq!(verdict, Verdict::Wrong);
    assert!(found["problem"].as_str().unwrap().contains(".snapshot"), "{found}");
    let (_, text) = exchange.ask(JournalVerb::Inspect { json: false });
    assert!(text.contains(".snapshot is damaged"), "{text}");
}

#[test]
fn frames_are_dumped_in_the_words_of_the_contract() {
    let exchange = Exchange::sample();
    let taker = exchange.dump(9, 9, None).remove(0);
    assert_eq!(taker["stream"], "B_Q");
    assert_eq!((&taker["sequence"], &taker["previous"]), (&9.into(), &8.into()));
    assert_eq!(taker["time"], TIME_US + 9);
    assert_eq!(taker["origin"], serde_json::json!({ "gateway": 1, "epoch": 1, "sequence": 9 }));
    let command = &taker["command"];
    assert_eq!((&command["type"], &command["side"]), (&"place".into(), &"Bid".into()));
    assert_eq!((&command["price"], &command["ticks"]), (&"10.2".into(), &102.into()));
    assert_eq!((&command["quantity"], &command["lots"]), (&"0.7".into(), &7.into()));
    assert_eq!((&command["orderType"], &command["timeInForce"]), (&"Limit".into(), &"GTC".into()));
    assert_eq!(taker["outcome"]["type"], "filled");
    assert!(taker["outcome"]["orderId"].is_string());
    assert_eq!(taker["held"]["asset"], "Q");
    let trades = taker["events"].as_array().unwrap();
    assert_eq!(trades.len(), 2);
    assert_eq!((&trades[0]["type"], &trades[0]["tradeId"]), (&"trade".into(), &1.into()));
    assert_eq!((&trades[0]["price"], &trades[0]["lots"]), (&"10.1".into(), &5.into()));
    assert_eq!(trades[0]["makerFee"]["asset"], "Q");
    assert_eq!(
        trades[0]["takerFee"],
        serde_json::json!({
            "asset": "B", "amount": "0.01", "units": 10
        })
    );
    let deposit = exchange.dump(2, 2, None).remove(0);
    assert_eq!(
        deposit["command"],
        serde_json::json!({
            "type": "deposit",
            "account": 1,
            "transferId": format!("{:032x}", 1 << 16 | 1),
            "asset": "Q",
            "amount": "1000",
            "units": 1_000_000,
        })
    );
    let refused = exchange.dump(10, 10, None).remove(0);
    let reason = serde_json::json!({ "type": "refused", "reason": "InsufficientFunds" });
    assert_eq!((&refused["outcome"], &refused["held"]), (&reason, &Value::Null));
}

#[test]
fn a_line_a_frame_for_people() {
    let exchange = Exchange::sample();
    let all = JournalVerb::Dump { from: 1, to: u64::MAX, stream: None, json: false };
    let (_, text) = exchange.ask(all);
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len() as u64, exchange.steps);
    let date = &lines[0][2..12];
    assert_eq!(&lines[0][29..], "accounts an account is to be created → account 1 created");
    assert!(date.starts_with("2026-1"), "{date}");
    let taker = lines[8].split_once("B_Q ").unwrap().1;
    let order = taker.split(' ').nth(10).unwrap();
    assert!(
        taker.starts_with("account 2 places Bid Limit 0.7 at 10.2 GTC → order "),
        "{taker} {order}"
    );
    assert!(taker.contains("is filled; trade 1: 0.5 at 10.1 with order "), "{taker}");
    let told = |at: usize| lines[at - 1].rsplit_once(" → ").unwrap().1;
    assert_eq!(told(10), "refused: InsufficientFunds");
    assert_eq!(told(11), "refused: OrderNotFound");
    assert!(told(12).starts_with("cancelled; order ") && told(12).ends_with(": ByRequest"));
    assert_eq!((told(13), told(14)), ("transferred", "was carried out by frame 13"));
    assert_eq!((told(15), told(16)), ("set", "refused: CancelOnly"));
}

#[test]
fn a_switch_is_dumped_with_who_holds_it() {
    let mut exchange = Exchange::sample();
    let (one, own, fan_out) = (account(1), Action::OWN_SWITCH, GatewayId(7));
    let set = |holder| Action::SetCancelAfter { account: one, holder, timeout_ms: 500 };
    let closed = Action::ExpireCancelAfter { account: one, holder: fan_out, deadline_us: 0 };
    exchange.block(&[set(own), set(fan_out), closed]);
    let shown = exchange.dump(18, 20, None).into_iter().map(|it| it["command"].clone());
    let set = |holder| {
        let (kind, timeout) = ("setCancelAfter", 500);
        serde_json::json!({ "type": kind, "account": 1, "holder": holder, "timeoutMs": timeout })
    };
    let now = serde_json::json!({
        "type": "expireCancelAfter", "account": 1, "holder": 7, "deadline": null,
    });
    assert_eq!(shown.collect::<Vec<_>>(), [set(Value::Null), set(7.into()), now]);
    let all = JournalVerb::Dump { from: 18, to: 20, stream: None, json: false };
    let (_, text) = exchange.ask(all);
    let asked =
        text.lines().map(|it| it.split_once(" → ").unwrap().0.split_once("accounts ").unwrap().1);
    let wanted = [
        "account 1 cancels after 500 ms",
        "account 1 cancels after 500 ms, by fan-out 7",
        "the time of account 1 has come, now, by fan-out 7",
    ];
    assert_eq!(asked.collect::<Vec<_>>(), wanted);
}

#[test]
fn a_selection_is_dumped_and_nothing_else() {
    let exchange = Exchange::sample();
    let sequences = |from, to, stream| {
        let frames = exchange.dump(from, to, stream);
        frames.iter().map(|it| it["sequence"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(sequences(1, 99, None), (1..=17).collect::<Vec<_>>());
    assert_eq!(sequences(8, 11, None), [8, 9, 10, 11]);
    assert_eq!(sequences(5, 99, Some("accounts")), [5, 6, 13, 14]);
    assert_eq!(sequences(5, 10, Some("B_Q")), [7, 8, 9, 10]);
    assert!(sequences(5, 10, Some("SOL_USDC")).is_empty());
    assert!(sequences(50, 60, None).is_empty());
}

#[test]
fn a_reader_that_has_seen_enough_ends_the_answer() {
    struct Closed;
    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let exchange = Exchange::sample();
    for json in [false, true] {
        let all = JournalVerb::Dump { from: 1, to: 99, stream: None, json };
        let verdict = run(&RealDisk, &exchange.folder.0, all, &mut Closed).unwrap();
        assert_eq!(verdict, Verdict::Right);
    }
}
