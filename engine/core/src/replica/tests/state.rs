//! What must agree beside books and balances: what came before, digests, what a market takes, and
//! how orders ended.

use super::*;

/// The frame that `script` would apply next, under another origin and digest.
fn refused_as(script: &Script, origin: Origin, outcome: Outcome) -> Option<Inconsistency> {
    let action = Action::cancel_all(MARKET, account(1));
    let header = FrameHeader {
        sequence: Sequence(script.sequence + 1),
        previous: script.previous[1],
        cursor: StreamCursor::START,
        outcome,
        held: Units::ZERO,
        digest: script.replica.market(MARKET).unwrap().sum.digest(),
    };
    let bytes = frame(&header, &Command { origin, time_us: 7, action }, &[]);
    script.replica.clone().apply(&Frame::parse(&bytes).unwrap()).err().map(|error| error.cause)
}

#[test]
fn what_came_before_must_be_recognised_and_what_did_not_must_not() {
    let mut script = Script::funded();
    script.rest(1, Side::Bid, 40, 1, order(0, 1));
    let known = Origin { gateway: GatewayId(1), epoch: 1, sequence: script.sequence };
    let fresh = Origin { sequence: script.sequence + 1, ..known };
    let first = Sequence(script.sequence);
    let recognised = Outcome::Recognised { first };
    assert_eq!(refused_as(&script, known, recognised), None);
    let wrong = Some(Inconsistency::Recognition);
    assert_eq!(refused_as(&script, known, Outcome::Recognised { first: Sequence(1) }), wrong);
    assert_eq!(refused_as(&script, known, Outcome::Cancelled), wrong);
    assert_eq!(refused_as(&script, fresh, recognised), wrong);
    assert_eq!(refused_as(&script, fresh, Outcome::Refused(Refusal::Stale)), wrong);
}

#[test]
fn a_state_of_the_engine_that_is_not_the_replica_s_is_refused() {
    let script = Script::funded();
    let fresh = Origin { gateway: GatewayId(1), epoch: 1, sequence: script.sequence + 1 };
    // It would have to tell of the command it remembers.
    let found = refused_as(&script, fresh, Outcome::Refused(Refusal::OrderNotFound));
    assert!(matches!(found, Some(Inconsistency::Digest { .. })));
}

#[test]
fn a_market_that_takes_cancels_only_takes_no_order() {
    let mut script = Script::funded();
    script.rest(1, Side::Bid, 40, 1, order(0, 1));
    let set = |state| Action::SetBookState { market: MARKET, state };
    let stopped = set(BookState::CancelOnly);
    script.apply(stopped, Outcome::BookStateSet, Units::ZERO, &[]).unwrap();
    script.replica.assert_consistent();
    let place = Action::Place(limit(1, Side::Bid, 41, 1));
    let rested = Outcome::Rested { order: order(1, 1), lots_left: Lots(1) };
    let error = Script { replica: script.replica.clone(), ..script }
        .apply(place, rested, Units::ZERO, &[])
        .unwrap_err();
    assert_eq!(error.cause, Inconsistency::BookState);
}

#[test]
fn finished_orders_are_told_with_how_they_ended() {
    let mut script = Script::funded();
    script.rest(1, Side::Ask, 50, 3, order(0, 1));
    let trade = script.trade(order(0, 1), Side::Bid, 3, 0);
    let outcome = Outcome::Filled { order: order(0, 2) };
    let action = Action::Place(limit(2, Side::Bid, 50, 3));
    script.apply(action, outcome, Units(1_500), &[Event::Trade(trade)]).unwrap();
    script.rest(1, Side::Bid, 40, 1, order(0, 3));
    let closed = script.closed(order(0, 3), ClosedReason::ByRequest);
    script.cancel(1, closed).unwrap();
    let finished: Vec<_> = script.replica.market(MARKET).unwrap().finished().iter().collect();
    let told: Vec<_> =
        finished.iter().map(|it| (it.order, it.executed.0, it.lots_left.0, it.reason)).collect();
    let by_request = Some(ClosedReason::ByRequest);
    let expected =
        [(order(0, 1), 3, 0, None), (order(0, 2), 3, 0, None), (order(0, 3), 0, 1, by_request)];
    assert_eq!(told, expected);
    assert_eq!(finished[0].executed_quote, finished[1].executed_quote);
    let of_one: Vec<_> =
        script.replica.finished_orders(account(1), None, &[]).iter().map(|it| it.order).collect();
    assert_eq!(of_one, [order(0, 3), order(0, 1)]);
    let after = [(MARKET, finished[1].ended)];
    let later = script.replica.finished_orders(account(1), None, &after);
    assert_eq!(later.iter().map(|it| it.order).collect::<Vec<_>>(), [order(0, 3)]);
}
