//! What the gateway keeps in and reads from PostgreSQL, with the real migrations.

use chrono::DateTime;
use ed25519_dalek::SigningKey;
use io_gateway::audit::Audit;
use io_gateway::error::Code;
use io_gateway::history::History;
use io_gateway::keys::KeyCache;
use protocol::{AccountId, Interval, Lots, MarketId};

use crate::migrated_postgres::MigratedPostgres;

fn account(id: u32) -> AccountId {
    AccountId::new(id).unwrap()
}

async fn keys_are_registered_followed_and_disabled(postgres: &MigratedPostgres) {
    let keys = KeyCache::new(postgres.pool.clone(), postgres.pool.clone());
    let public = |seed: u8| SigningKey::from_bytes(&[seed; 32]).verifying_key().to_bytes();
    keys.register(public(1), account(5), Some("first")).await.unwrap();
    keys.register(public(1), account(5), None).await.unwrap();
    let taken = keys.register(public(1), account(6), None).await.unwrap_err();
    assert_eq!(taken.code, Code::PreconditionFailed);
    let weak = keys.register([0; 32], account(5), None).await.unwrap_err();
    assert_eq!(weak.code, Code::InvalidClientRequest);

    let other = KeyCache::new(postgres.pool.clone(), postgres.pool.clone());
    assert_eq!(other.get(&public(1)).await.unwrap().account, account(5));
    assert_eq!(other.get(&public(2)).await.unwrap_err().code, Code::Unauthorized);
    let followed = KeyCache::new(postgres.pool.clone(), postgres.pool.clone());
    let (told, mut heard) = tokio::sync::mpsc::channel(64);
    let follow = followed.follow(|reachable| told.try_send(reachable).unwrap());
    let disable = async {
        assert_eq!(heard.recv().await, Some(true));
        assert_eq!(followed.len(), 1);
        postgres.execute("UPDATE api_keys SET disabled_at = now(), changed_at = now()").await;
        while !followed.is_empty() {
            assert_eq!(heard.recv().await, Some(true));
        }
    };
    tokio::select! {
        () = follow => (),
        () = disable => (),
    }
    assert_eq!(followed.get(&public(1)).await.unwrap_err().code, Code::Unauthorized);
}

async fn every_call_is_in_the_audit(postgres: &MigratedPostgres) {
    let audit = Audit::new(postgres.pool.clone());
    let remote = Some("127.0.0.1:5".parse().unwrap());
    let body = b"{\"label\":\"a\0b\xff\"}";
    let entry = audit.begin(remote, "POST", "/admin/v1/accounts", body).await.unwrap();
    audit.end(entry, 200).await;
    audit.begin(None, "GET", "/x", &[b'x'; 5000]).await.unwrap();
    let rows: Vec<(String, i32, Option<i16>)> =
        sqlx::query_as("SELECT remote, length(body), status FROM admin_audit ORDER BY id")
            .fetch_all(&postgres.pool)
            .await
            .unwrap();
    assert_eq!(rows, [("127.0.0.1:5".into(), 16, Some(200)), ("unknown".into(), 1000, None)]);
    audit.opened(account(9), Some("nine")).await.unwrap();
    audit.opened(account(9), None).await.unwrap();
}

async fn trades_and_candles_are_read_as_written(postgres: &MigratedPostgres) {
    for (id, second) in [(1, "00"), (2, "01"), (3, "01")] {
        let row = format!(
            "INSERT INTO trades VALUES (1, 1, '2026-01-01 00:00:{second}.5Z', {id}, {id}, 2050, \
             125, 25625000, 7, 8)"
        );
        postgres.execute(&row).await;
    }
    // The month alone: what is not known of the second makes bounds wider, not wrong.
    let month = "INSERT INTO klines VALUES (1, 15, '2026-01-01', 1, 3, 1, 1, 1, 1, 1, 1, 3)";
    postgres.execute(month).await;
    let history = History::new(postgres.pool.clone());
    let now = DateTime::from_timestamp(1_767_225_700, 0).unwrap();
    let trades = history.trades(MarketId(1), 2, 0, now).await.unwrap();
    assert_eq!(trades.iter().map(|trade| trade.id).collect::<Vec<_>>(), [3, 2]);
    assert_eq!((trades[0].lots, trades[0].is_buyer_maker), (Lots(125), true));
    assert_eq!(history.trades(MarketId(1), 2, 2, now).await.unwrap()[0].id, 1);
    assert!(history.trades(MarketId(2), 10, 0, now).await.unwrap().is_empty());

    for minute in ["00", "01", "02"] {
        let row = format!(
            "INSERT INTO klines VALUES (1, 1, '2026-01-01 00:{minute}:00Z', 1, 2, 2050, 2060, \
             2040, 2045, 340282366920938463463374607431, 5, 2)"
        );
        postgres.execute(&row).await;
    }
    let start = 1_767_225_600;
    let minute = Interval::Minute1;
    let candles = history.candles(MarketId(1), minute, start + 61, start + 119).await.unwrap();
    assert_eq!(candles.len(), 1, "the start is floored, the end is not reached");
    assert_eq!(candles[0].open_time_s, start + 60);
    assert_eq!(candles[0].lots, 340_282_366_920_938_463_463_374_607_431);
    assert_eq!(history.candles(MarketId(1), minute, start, start + 120).await.unwrap().len(), 3);
}

#[tokio::test]
async fn the_database_keeps_what_the_gateway_needs() {
    let postgres = MigratedPostgres::start().await;
    keys_are_registered_followed_and_disabled(&postgres).await;
    every_call_is_in_the_audit(&postgres).await;
    trades_and_candles_are_read_as_written(&postgres).await;
}
