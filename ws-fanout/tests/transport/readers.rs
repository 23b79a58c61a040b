//! Readers who are slow, stand still, or go.

use super::*;

#[tokio::test]
async fn whoever_reads_slowly_gets_every_message_whole() {
    in_local_set(async {
        let raw = RawConfig { outbox_bytes_max: 64 << 20, ..RawConfig::default() };
        let mut world = World::start(raw).await;
        let mut client = world.client().await;
        client.ask("SUBSCRIBE", "trade.SOL_USDC").await;
        world.join().await;
        client.fence().await;
        // Much more than the kernel's buffers hold, in pieces that end nowhere in particular.
        let text = |number: usize| format!("{number}:{}", "x".repeat(number * 37 % 60_000));
        for number in 0..600 {
            world.say(&text(number)).await;
        }
        client.ask("UNSUBSCRIBE", "trade.NOPE_NOPE").await;
        client.send(Message::Ping("amid".into())).await;
        let (mut heard, mut pongs) = (0, 0);
        while heard < 600 {
            match client.next().await {
                Message::Text(found) => {
                    assert!(found.as_str() == text(heard), "message {heard} is not whole");
                    heard += 1;
                }
                Message::Pong(_) => pongs += 1,
                other => panic!("{other:?}"),
            }
        }
        if pongs == 0 {
            assert_eq!(client.next().await, Message::Pong("amid".into()));
        }
    })
    .await;
}

#[tokio::test]
async fn a_reader_that_stands_still_is_closed_while_the_others_hear_all() {
    in_local_set(async {
        let raw = RawConfig { outbox_frames_max: 200, close_ms_max: 200, ..RawConfig::default() };
        let mut world = World::start(raw).await;
        let (mut stalled, mut quick) = (world.client().await, world.client().await);
        stalled.ask("SUBSCRIBE", "trade.SOL_USDC").await;
        world.join().await;
        quick.ask("SUBSCRIBE", "trade.SOL_USDC").await;
        stalled.fence().await;
        quick.fence().await;
        let text = |number: usize| format!("{number}:{}", "z".repeat(64 << 10));
        for number in 0..600 {
            world.say(&text(number)).await;
            assert!(quick.text().await == text(number));
        }
        let mut received = 0;
        let end = loop {
            match timeout(DEADLINE, stalled.0.next()).await.expect("an end") {
                Some(Ok(Message::Text(_))) => received += 1,
                Some(Ok(Message::Ping(_))) => (),
                end => break end,
            }
        };
        assert!(received < 600, "{received} went to a client that did not read: {end:?}");
        // It is forgotten, and so is what was kept for it.
        world.say("after").await;
        assert_eq!(quick.text().await, "after");
    })
    .await;
}

#[tokio::test]
async fn the_client_is_answered_when_it_closes() {
    in_local_set(async {
        let world = World::start(RawConfig::default()).await;
        let mut client = world.client().await;
        client.0.close(None).await.unwrap();
        assert!(matches!(client.next().await, Message::Close(_)));
        assert!(timeout(DEADLINE, client.0.next()).await.unwrap().is_none_or(|it| it.is_err()));
    })
    .await;
}

#[tokio::test]
async fn stopping_closes_every_socket_with_1001() {
    in_local_set(async {
        let world = World::start(RawConfig::default()).await;
        let mut clients = [world.client().await, world.client().await];
        for client in &mut clients {
            client.fence().await;
        }
        world.stop.cancel();
        for client in &mut clients {
            assert_eq!(client.close_code().await, 1001);
        }
        drop(clients);
        timeout(DEADLINE, world.worker).await.unwrap().unwrap();
    })
    .await;
}

#[tokio::test]
async fn whoever_does_not_answer_pings_is_closed() {
    in_local_set(async {
        let raw = RawConfig { ping_every_ms: 500, pong_ms_max: 2000, ..RawConfig::default() };
        let world = World::start(raw).await;
        let (mut silent, mut lively) = (world.client().await, world.client().await);
        // A client that reads answers by itself: this one is read once it is over.
        let lively = spawn_local(async move {
            let mut pings = 0;
            while pings < 8 {
                if let Message::Ping(_) = lively.next().await {
                    pings += 1;
                }
            }
        });
        lively.await.unwrap();
        assert_eq!(silent.close_code().await, 1008);
    })
    .await;
}
