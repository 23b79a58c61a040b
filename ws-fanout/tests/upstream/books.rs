//! Depth, realtime and in windows.

use protocol::{MarketId, Side};
use ws_fanout::stream_name::{Form, Kind, StreamName, Topic, Window};

use crate::world::{Client, World};

const fn depth(kind: Kind, form: Form) -> StreamName {
    StreamName::Public { topic: Topic { kind, market: MarketId(1) }, form }
}

const AT: StreamName = depth(Kind::Depth, Form::At);
const DOTTED: StreamName = depth(Kind::Depth, Form::Dotted);
const WINDOW: StreamName = depth(Kind::DepthWindow(Window::Ms200), Form::Dotted);

#[tokio::test(flavor = "multi_thread")]
async fn depth_is_heard_under_both_names_from_joining_to_leaving() {
    let mut world = World::start().await;
    world.engine().change(Side::Ask, 110, 5);
    let token = world.join(AT).await;
    world.change(Side::Bid, 90, 1).await;
    let frame = world.message(AT).await;
    assert_eq!((&frame["stream"], &frame["data"]["U"]), (&"depth@SOL_USDC".into(), &2.into()));
    world.join(DOTTED).await;
    world.change(Side::Bid, 90, 2).await;
    assert_eq!(world.message(AT).await["stream"], "depth@SOL_USDC");
    assert_eq!(world.message(DOTTED).await["stream"], "depth.SOL_USDC");
    world.leave(AT, token).await;
    // Who joins after somebody left is told after him.
    let token = world.join(AT).await;
    world.leave(AT, token).await;
    world.join(WINDOW).await;
    world.change(Side::Bid, 90, 3).await;
    assert_eq!(world.message(DOTTED).await["data"]["u"], 4);
    let frame = world.message(WINDOW).await;
    assert_eq!(frame["stream"], "depth.200ms.SOL_USDC");
    assert_eq!((&frame["data"]["U"], &frame["data"]["u"]), (&4.into(), &4.into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_updates_are_made_up_for_by_one_frame() {
    let mut world = World::start().await;
    world.join(AT).await;
    let mut client = Client::of(&world.engine());
    for at in 0..12 {
        world.change(Side::Ask, 110 + at, 5).await;
        client.apply(&world.message(AT).await);
    }
    for (ticks, lots) in [(110, 0), (111, 7), (150, 1), (112, 0), (112, 5)] {
        world.engine().change(Side::Ask, ticks, lots);
    }
    world.change(Side::Bid, 90, 1).await;
    let frame = world.message(AT).await;
    client.apply(&frame);
    assert_eq!(client.last, Some(18), "{frame}");
    world.change(Side::Bid, 91, 1).await;
    client.apply(&world.message(AT).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn heads_tell_of_updates_that_nothing_follows() {
    let mut world = World::start().await;
    world.join(AT).await;
    let mut client = Client::of(&world.engine());
    world.engine().change(Side::Ask, 110, 5);
    world.tell_heads().await;
    client.apply(&world.message(AT).await);
    assert_eq!(client.last, Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_published_twice_is_told_once() {
    let mut world = World::start().await;
    world.join(AT).await;
    let frame = world.engine().change(Side::Ask, 110, 5);
    world.publish("depth@SOL_USDC", &frame).await;
    world.publish("depth@SOL_USDC", &frame).await;
    world.change(Side::Ask, 111, 5).await;
    assert_eq!(world.message(AT).await["data"]["u"], 1);
    assert_eq!(world.message(AT).await["data"]["u"], 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_connection_is_made_up_for_in_every_form() {
    let mut world = World::start().await;
    for stream in [AT, DOTTED, WINDOW] {
        world.join(stream).await;
    }
    let snapshot = || Client::of(&world.engine());
    let mut clients = [(AT, snapshot()), (DOTTED, snapshot()), (WINDOW, snapshot())];
    for round in 0..3 {
        world.engine().change(Side::Ask, 110 + round, 5);
        if round == 1 {
            world.restart_redis().await;
        } else {
            world.cut_off().await;
        }
        let mut behind = vec![AT, DOTTED, WINDOW];
        while !behind.is_empty() {
            let (stream, frame) = world.any_message().await;
            let (_, client) = clients.iter_mut().find(|(name, _)| *name == stream).unwrap();
            client.apply(&frame);
            assert_eq!(client.last, Some(round + 1));
            behind.retain(|name| *name != stream);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_book_stands_still_until_the_engine_answers_again() {
    let mut world = World::start().await;
    world.join(AT).await;
    let mut client = Client::of(&world.engine());
    world.engine().is_away = true;
    world.engine().change(Side::Ask, 110, 5);
    world.change(Side::Ask, 111, 5).await;
    world.until_unanswered(1).await;
    world.change(Side::Ask, 112, 5).await;
    // It asks again.
    world.until_unanswered(2).await;
    assert!(world.is_silent());
    world.engine().is_away = false;
    client.apply(&world.message(AT).await);
    assert_eq!(client.last, Some(3));
}

#[tokio::test(flavor = "multi_thread")]
async fn another_life_that_knows_more_is_made_up_for_and_one_that_knows_less_breaks() {
    let mut world = World::start().await;
    let token = world.join(AT).await;
    let mut client = Client::of(&world.engine());
    world.change(Side::Ask, 110, 5).await;
    client.apply(&world.message(AT).await);
    world.engine().change(Side::Ask, 110, 6);
    world.engine().life = 2;
    world.tell_heads().await;
    client.apply(&world.message(AT).await);
    *world.engine() = crate::world::Engine { life: 3, ..Default::default() };
    world.tell_heads().await;
    world.broken(AT, token).await;
    world.join(AT).await;
    let mut client = Client::of(&world.engine());
    world.change(Side::Ask, 110, 5).await;
    client.apply(&world.message(AT).await);
}
