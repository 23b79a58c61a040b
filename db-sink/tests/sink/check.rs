//! Databases compared with the journal that the test's engine has: whatever is damaged is found and
//! named, and nothing else.

mod damages;

use chrono::{DateTime, Utc};
use db_sink::backfill::Backfill;
use db_sink::check::report::{Kind, Report};
use db_sink::check::tables::Table;
use db_sink::check::{Check, CheckError};
use db_sink::sink::End;
use sqlx::PgConnection;
use tokio_util::sync::CancellationToken;

use self::damages::DAMAGES;
use crate::backfill::run;
use crate::engine::{Engine, Manner};
use crate::listing::list;
use crate::running::{emit, ready, stands_at, start, story};
use crate::servers::World;
use crate::story::Story;

const LISTED: usize = 3;

/// A database that has all of the engine's journal.
struct Filled {
    world: World,
    _engine: Engine,
    stories: [Story; 3],
}

const TABLES: [&str; 8] = [
    "trades",
    "fills",
    "order_events",
    "balance_changes",
    "transfers",
    "kept_order_events",
    "klines",
    "sink_position",
];

impl Filled {
    async fn new(seed: u64) -> Filled {
        let world = World::new().await.with_redis();
        let mut accounts = Story::of(None);
        (1..=30).for_each(|units| accounts.deposit(2, units));
        let stories = [
            accounts,
            story(&world, "SOL_USDC", 300, seed),
            story(&world, "BTC_USDC", 120, seed + 1),
        ];
        let told = stories.each_ref();
        let engine = Engine::start(&world, &told, Manner { frames: 50, ..Manner::default() });
        // As the engine's first life says it.
        list(&world, 0, &told).await;
        let (config, catalog) = (world.config.clone(), world.catalog.clone());
        Backfill { config, catalog }.run(CancellationToken::new()).await.unwrap();
        let filled = Filled { world, _engine: engine, stories };
        for table in TABLES {
            filled.execute(&format!("CREATE TABLE saved_{table} AS TABLE {table}")).await;
        }
        filled
    }

    async fn execute(&self, statements: &str) {
        execute(&mut self.world.connect().await, statements).await;
    }

    async fn restore(&self) {
        let mut connection = self.world.connect().await;
        for table in TABLES {
            let restore = format!("DELETE FROM {table}; INSERT INTO {table} TABLE saved_{table}");
            execute(&mut connection, &restore).await;
        }
    }

    async fn check(&self) -> Report {
        self.check_from(None).await.unwrap()
    }

    async fn check_from(&self, rows_from: Option<DateTime<Utc>>) -> Result<Report, CheckError> {
        let (config, catalog) = (self.world.config.clone(), self.world.catalog.clone());
        Check { config, catalog, rows_from, differences_max: LISTED }.run().await
    }
}

async fn execute(connection: &mut PgConnection, statements: &str) {
    let statements = sqlx::AssertSqlSafe(statements.to_owned());
    sqlx::raw_sql(statements).execute(connection).await.unwrap();
}

fn text(report: &Report) -> String {
    let mut text = Vec::new();
    report.write_text(&mut text).unwrap();
    String::from_utf8(text).unwrap()
}

/// Missing, too many, different.
fn counts(report: &Report, table: &str) -> [u64; 3] {
    let table = report.tables.iter().find(|found| found.table == table).unwrap();
    [table.missing, table.too_many, table.different]
}

/// In this table, and nowhere else.
fn assert_only(report: &Report, table: &str, expected: [u64; 3]) {
    for found in &report.tables {
        let expected = if found.table == table { expected } else { [0; 3] };
        assert_eq!(counts(report, &found.table), expected, "{}\n{}", found.table, text(report));
        assert_eq!(found.hours_not_looked_into, 0);
    }
    assert_eq!(report.positions, Vec::<String>::new());
    assert!(!report.is_equal());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_as_the_journal_has_it_is_equal() {
    let filled = Filled::new(201).await;
    let report = filled.check().await;
    assert!(report.is_equal(), "{}", text(&report));
    assert!(text(&report).ends_with("database and journal are equal\n"));
    assert_eq!(report.unknown, Vec::<String>::new());
    let rows = filled.stories.iter().map(|story| story.rows().len() as u64).sum::<u64>();
    let found: u64 = report.tables[..5].iter().map(|table| table.found).sum();
    assert_eq!(found, rows, "every row was looked at");
    let frames: Vec<_> = report.streams.iter().map(|stream| stream.frames).collect();
    assert_eq!(frames, [30, 300, 120]);
    let klines = report.tables.iter().find(|table| table.table == "klines").unwrap();
    assert!(16 < klines.found && klines.found == klines.expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_column_that_comes_of_frames_is_compared() {
    let world = World::new().await;
    world.migrate().await.unwrap();
    let mut connection = world.connect().await;
    for table in Table::all() {
        let mut columns: Vec<String> = sqlx::query_scalar(
            "SELECT column_name::text FROM information_schema.columns
             WHERE table_name = $1 AND table_schema = current_schema() ORDER BY 1",
        )
        .bind(table.name)
        .fetch_all(&mut connection)
        .await
        .unwrap();
        // The database's own.
        columns.retain(|column| (table.name, column.as_str()) != ("transfers", "number"));
        let mut compared: Vec<_> = table.cells.iter().map(|cell| cell.name).collect();
        compared.sort_unstable();
        compared.dedup();
        assert_eq!(compared, columns, "{}", table.name);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_kind_of_difference_is_found_and_named() {
    let filled = Filled::new(203).await;
    for (table, damage, expected, named) in DAMAGES {
        filled.execute(damage).await;
        let report = filled.check().await;
        println!("{damage}");
        assert_only(&report, table, *expected);
        assert!(text(&report).contains(named), "{named}\n{}", text(&report));
        filled.restore().await;
    }
    assert!(filled.check().await.is_equal());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn positions_are_compared_too() {
    let filled = Filled::new(205).await;
    let [_, sol, btc] = &filled.stories;
    let set = |stream: &str, sequence: u64| {
        format!(
            "UPDATE sink_position SET last_sequence = {sequence}, last_id = '{sequence}-0'
             WHERE stream = '{stream}'"
        )
    };
    // Further than its rows: what lacks is named.
    filled.execute("DELETE FROM trades WHERE market_id = 2 AND 100 < trade_id").await;
    let late = counts(&filled.check().await, "trades");
    let trades = btc.rows().trades.len() as u64;
    assert_eq!(late, [trades - 100, 0, 0]);
    filled.restore().await;

    // Not as far as its rows.
    let middle = sol.frames[149].0.0;
    filled.execute(&set("SOL_USDC", middle)).await;
    let report = filled.check().await;
    let behind = sol.rows().trades.iter().filter(|trade| middle as i64 <= trade.sequence).count();
    assert!(0 < counts(&report, "trades")[1] && counts(&report, "trades")[1] <= behind as u64);
    assert_eq!(counts(&report, "trades")[0], 0);
    filled.restore().await;

    // On no frame, beyond the journal, under another id, of a stream that nobody knows.
    let gap = (1..sol.last()).rev().find(|at| sol.frames.iter().all(|frame| frame.0.0 != *at));
    let beyond = filled.stories.iter().map(|story| story.last()).max().unwrap() + 500;
    for (damage, named) in [
        (set("SOL_USDC", gap.unwrap()), "which is no frame of it; the last before is ".to_owned()),
        (set("BTC_USDC", beyond), format!("BTC_USDC is at {beyond}, but the journal ends at ")),
        (
            "UPDATE sink_position SET last_id = '5-0' WHERE stream = 'SOL_USDC'".to_owned(),
            "under the id 5-0".to_owned(),
        ),
        (
            "INSERT INTO sink_position VALUES ('XYZ_USDC', 5, '5-0', 1, now())".to_owned(),
            "XYZ_USDC is at 5, and the engine does not list it".to_owned(),
        ),
    ] {
        filled.execute(&damage).await;
        let report = filled.check().await;
        assert!(!report.is_equal());
        assert!(report.positions.iter().any(|line| line.contains(&named)), "{}", text(&report));
        filled.restore().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_differences_are_counted_and_some_are_listed() {
    let filled = Filled::new(207).await;
    filled.execute("UPDATE klines SET trades = trades + 1; TRUNCATE fills").await;
    let report = filled.check().await;
    let table = |name: &str| report.tables.iter().find(|table| table.table == name).unwrap();
    let (klines, fills) = (table("klines"), table("fills"));
    assert_eq!((klines.different, klines.differences.len()), (klines.found, LISTED));
    assert!(LISTED as u64 <= fills.missing && fills.differences.len() == LISTED);
    assert!(fills.differences.iter().all(|difference| difference.kind == Kind::Missing));
    assert!(0 < fills.hours_not_looked_into);
    let said = text(&report);
    assert!(said.contains(&format!("  and {} more\n", klines.different - LISTED as u64)), "{said}");
    assert!(said.contains("  and whatever differs in "), "{said}");
}

/// One of some ways to damage a row that `random` picks, in a table.
fn damage(table: &str, random: &mut impl FnMut(u64) -> u64) -> String {
    let layouts = Table::all();
    let columns: Vec<&str> = match table {
        "klines" => vec!["open_ticks", "close_ticks", "low_ticks", "lots", "quote_units", "trades"],
        table => {
            let layout = layouts.iter().find(|layout| layout.name == table).unwrap();
            let numbers = layout.cells.iter().map(|cell| cell.name);
            let others = ["ts", "is_maker", "is_placement", "post_only", "created_at"];
            let others = others.iter().chain(&["triggered_at", "transfer_id"]);
            let others: Vec<_> = others.collect();
            numbers.filter(|name| !others.contains(&name)).collect()
        }
    };
    let order = if table == "klines" { "market_id, resolution, open_time" } else { "sequence" };
    let at = random(1_000_000);
    let row = format!(
        "ctid = (SELECT ctid FROM {table} ORDER BY {order}
         OFFSET {at} % (SELECT count(*) FROM {table}) LIMIT 1)"
    );
    let column = columns[random(columns.len() as u64) as usize];
    // A key must not meet another.
    let far = ["sequence", "account_id", "sub", "trade_id", "market_id"].contains(&column);
    match random(3) {
        0 => format!("DELETE FROM {table} WHERE {row}"),
        1 => format!(
            "UPDATE {table} SET {column} = coalesce({column} + {}, 0) WHERE {row}",
            1 + random(20) + 5000 * u64::from(far)
        ),
        _ if table == "klines" => format!(
            "INSERT INTO klines SELECT market_id, resolution, open_time + interval '1 century',
             1, 2, 3, 4, 3, 4, 5, 6, 7 FROM klines WHERE {row}"
        ),
        _ => format!(
            "CREATE TEMP TABLE more AS SELECT * FROM {table} WHERE {row};
             UPDATE more SET ts = ts + interval '{} microseconds'; INSERT INTO {table} TABLE more",
            1 + random(10_000_000)
        ),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_is_damaged_is_found() {
    let mut seed = crate::seed();
    let filled = Filled::new(209).await;
    let mut random = |below: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % below
    };
    let tables = ["trades", "fills", "order_events", "balance_changes", "transfers", "klines"];
    for _ in 0..20 {
        let table = tables[random(tables.len() as u64) as usize];
        let damage = damage(table, &mut random);
        filled.execute(&damage).await;
        let report = filled.check().await;
        let sum: u64 = counts(&report, table).iter().sum();
        assert!((1..=2).contains(&sum), "{damage}\n{}", text(&report));
        let others = report.tables.iter().filter(|other| other.table != table);
        for other in others {
            assert_eq!(counts(&report, &other.table), [0; 3], "{damage}\n{}", text(&report));
        }
        filled.restore().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_late_journal_cannot_tell_is_said_and_is_no_difference() {
    let mut filled = Filled::new(211).await;
    let [accounts, sol, btc] = &filled.stories;
    let (begins_after, after) = (sol.frames[149].0.0, &sol.frames[150].0.0);
    let manner = Manner { begins_after, frames: 50, ..Manner::default() };
    filled._engine = Engine::start(&filled.world, &[accounts, sol, btc], manner);
    let report = filled.check().await;
    assert!(report.is_equal(), "{}", text(&report));
    let said = report.unknown.join("\n");
    assert!(said.contains("accounts: all of it"), "{said}");
    assert!(said.contains(&format!("SOL_USDC: rows of frames up to {begins_after},")), "{said}");
    let frames = report.streams.iter().find(|stream| stream.stream == "SOL_USDC");
    assert_eq!(frames.unwrap().frames, 150);

    // What is not known is not missed, what is known is; also the candles from there on.
    filled.execute(&format!("DELETE FROM trades WHERE market_id = 1 AND sequence < {after}")).await;
    assert!(filled.check().await.is_equal());
    filled.execute("DELETE FROM klines WHERE market_id = 1 AND first_trade_id = 1").await;
    let report = filled.check().await;
    assert!(report.is_equal(), "{}", text(&report));
    filled.execute(&format!("DELETE FROM trades WHERE market_id = 1 AND sequence = {after}")).await;
    assert!(0 < counts(&filled.check().await, "trades")[0]);
    filled.restore().await;
    filled
        .execute(
            "UPDATE klines SET trades = 9 WHERE market_id = 1 AND resolution = 0 AND
             first_trade_id = (SELECT max(first_trade_id) FROM klines WHERE market_id = 1)",
        )
        .await;
    assert_only(&filled.check().await, "klines", [0, 0, 1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_that_go_by_policy_are_not_missed() {
    let filled = Filled::new(213).await;
    let middle: DateTime<Utc> = sqlx::query_scalar(
        "SELECT date_trunc('day', min(ts)) + interval '1 day' FROM trades WHERE market_id = 1",
    )
    .fetch_one(&mut filled.world.connect().await)
    .await
    .unwrap();
    let gone = middle.to_rfc3339();
    for table in ["trades", "fills", "order_events", "balance_changes"] {
        filled.execute(&format!("DELETE FROM {table} WHERE ts < '{gone}'")).await;
    }
    assert!(0 < counts(&filled.check().await, "trades")[0], "something did go");
    let report = filled.check_from(Some(middle)).await.unwrap();
    assert!(report.is_equal(), "{}", text(&report));
    assert!(report.unknown[0].starts_with("rows of before 2026-12-31T00:00:00"), "{report:?}");
    assert!(0 < report.tables[0].found, "and something stayed");
    filled.execute("DELETE FROM transfers WHERE sequence = 2; TRUNCATE klines").await;
    let report = filled.check_from(Some(middle)).await.unwrap();
    assert_eq!(counts(&report, "transfers"), [1, 0, 0], "transfers stay for ever");
    assert!(1 < counts(&report, "klines")[0], "and so do candles");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sink_that_writes_meanwhile_is_neither_seen_nor_disturbed() {
    let world = ready(World::new().await).await;
    let (sol, accounts) = (story(&world, "SOL_USDC", 2000, 215), Story::of(None));
    let told = [&accounts, &sol];
    let _engine = Engine::start(&world, &told, Manner { frames: 100, ..Manner::default() });
    list(&world, 1, &told).await;
    let mut redis = world.redis().await;
    let sink = start(&world);
    for at in (0..2000).step_by(400) {
        emit(&mut redis, &sol, at..at + 400).await;
        stands_at(&world, &sol, at).await;
        let (config, catalog) = (world.config.clone(), world.catalog.clone());
        let check = Check { config, catalog, rows_from: None, differences_max: 5 };
        let report = check.run().await.unwrap();
        assert!(report.is_equal(), "{}", text(&report));
    }
    stands_at(&world, &sol, 1999).await;
    assert_eq!(sink.drain().await, End::Drained);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_and_a_machine_are_told() {
    let filled = Filled::new(217).await;
    let call = |arguments: &'static [&'static str]| {
        tokio::task::block_in_place(|| run(&filled.world, arguments))
    };
    let (code, told, said) = call(&["check"]);
    assert_eq!(code, Some(0), "{told}\n{said}");
    assert!(told.contains("SOL_USDC: 300 frames compared"), "{told}");
    filled.execute("DELETE FROM trades WHERE market_id = 1 AND trade_id IN (5, 6, 7)").await;
    let (code, told, _) = call(&["check", "--differences-max", "1"]);
    assert_eq!(code, Some(3), "{told}");
    assert!(told.contains("missing (SOL_USDC)") && told.contains("NOT equal"), "{told}");
    let (code, told, _) = call(&["check", "--json"]);
    assert_eq!(code, Some(3));
    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    assert_eq!((&told["equal"], &told["tables"][0]["missing"]), (&false.into(), &3.into()));
    let first = &told["tables"][0]["differences"][0];
    assert_eq!((&first["kind"], &first["stream"]), (&"missing".into(), &"SOL_USDC".into()));
    filled.execute("DROP TABLE sink_position").await;
    assert_eq!(call(&["check"]).0, Some(1));
}
