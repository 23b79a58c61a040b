//! What is asked, what is heard, and when it begins and ends.

use super::*;

#[tokio::test]
async fn a_pong_says_that_the_streams_asked_for_before_it_have_begun() {
    in_local_set(async {
        let mut world = World::start(RawConfig::default()).await;
        let mut client = world.client().await;
        client.ask("SUBSCRIBE", "trade.SOL_USDC").await;
        client.send(Message::Ping("x".into())).await;
        let ToUpstream::Join { stream, token, .. } = world.asked().await else { panic!() };
        assert_eq!(stream, TRADES);
        // What is said before the worker has joined belongs to no membership of it.
        world.say("too early").await;
        world.send(ToWorker::Joined { stream, token: Token(token.0 + 7) }).await;
        world.say("of another").await;
        world.send(ToWorker::Joined { stream, token }).await;
        assert_eq!(client.next().await, Message::Pong("x".into()));
        world.say("first").await;
        assert_eq!(client.text().await, "first");
    })
    .await;
}

#[tokio::test]
async fn a_stream_is_joined_by_the_first_and_left_behind_the_last() {
    in_local_set(async {
        let mut world = World::start(RawConfig::default()).await;
        let (mut one, mut two) = (world.client().await, world.client().await);
        one.ask("SUBSCRIBE", "trade.SOL_USDC").await;
        let token = world.join().await;
        two.ask("SUBSCRIBE", "trade.SOL_USDC").await;
        // Twice is once.
        two.ask("SUBSCRIBE", "trade.SOL_USDC").await;
        one.fence().await;
        two.fence().await;
        world.say("to both").await;
        assert_eq!((one.text().await, two.text().await), ("to both".into(), "to both".into()));
        one.ask("UNSUBSCRIBE", "trade.SOL_USDC").await;
        one.ask("UNSUBSCRIBE", "trade.SOL_USDC").await;
        one.fence().await;
        world.say("to two").await;
        assert_eq!(two.text().await, "to two");
        drop(two);
        let left = ToUpstream::Leave { worker: WorkerId(0), stream: TRADES, token };
        assert_eq!(world.asked().await, left);
        one.ask("SUBSCRIBE", "trade.SOL_USDC").await;
        assert_ne!(world.join().await, token);
        one.fence().await;
        world.say("again").await;
        assert_eq!(one.text().await, "again");
    })
    .await;
}

#[tokio::test]
async fn a_broken_stream_closes_who_hears_it_behind_what_was_said() {
    in_local_set(async {
        let mut world = World::start(RawConfig::default()).await;
        let (mut hears, mut idles) = (world.client().await, world.client().await);
        hears.ask("SUBSCRIBE", "trade.SOL_USDC").await;
        let token = world.join().await;
        hears.fence().await;
        world.say("last").await;
        let (stream, reason) = (TRADES, CloseReason::Gap);
        world.send(ToWorker::Broken { stream, token, reason }).await;
        assert_eq!(hears.text().await, "last");
        assert_eq!(hears.close_code().await, 1013);
        idles.fence().await;
        // The membership has ended with it: nothing is left, and the next one joins anew.
        idles.ask("SUBSCRIBE", "trade.SOL_USDC").await;
        assert_ne!(world.join().await, token);
    })
    .await;
}

#[tokio::test]
async fn leaving_a_stream_amid_a_message_finishes_the_message() {
    in_local_set(async {
        let raw = RawConfig { outbox_bytes_max: 64 << 20, ..RawConfig::default() };
        let mut world = World::start(raw).await;
        let mut client = world.client().await;
        client.ask("SUBSCRIBE", "trade.SOL_USDC").await;
        world.join().await;
        client.fence().await;
        let text = "y".repeat(1 << 20);
        for _ in 0..20 {
            world.say(&text).await;
        }
        client.ask("UNSUBSCRIBE", "trade.SOL_USDC").await;
        client.send(Message::Ping("over".into())).await;
        loop {
            match client.next().await {
                Message::Text(found) => assert!(found.as_str() == text, "a message is not whole"),
                Message::Pong(_) => break,
                other => panic!("{other:?}"),
            }
        }
    })
    .await;
}

#[tokio::test]
async fn errors_are_told_and_leave_the_socket_as_it_was() {
    in_local_set(async {
        let mut world = World::start(RawConfig::default()).await;
        let mut client = world.client().await;
        client.ask("SUBSCRIBE", "trade.SOL_USDC").await;
        world.join().await;
        let table = [
            (Message::text("nonsense"), 4002),
            (Message::binary(vec![1, 2]), 4002),
            (Message::text(r#"{"method":"SUBSCRIBE","params":["account.orderUpdate"]}"#), 4003),
            (Message::text(r#"{"method":"SUBSCRIBE","params":["depth.SOL_USDC","x.y"]}"#), 4006),
            (Message::text(r#"{"method":"UNSUBSCRIBE","params":["depth.7ms.SOL_USDC"]}"#), 4008),
        ];
        for (request, code) in table {
            client.send(request.clone()).await;
            let told: serde_json::Value = serde_json::from_str(&client.text().await).unwrap();
            assert_eq!(told["error"]["code"], code, "{request}");
            assert!(told["id"].is_null());
        }
        world.say("still heard").await;
        assert_eq!(client.text().await, "still heard");
        // Nothing of a refused request took effect.
        assert!(world.asked.try_recv().is_err());
    })
    .await;
}
