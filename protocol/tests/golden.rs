//! The pinned bytes of every command, event and frame. A change here is a change of the journal's
//! format: it needs a new version, not new bytes.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test ends at what it did not expect"
)]

use protocol::*;

const GOLDEN: &str = include_str!("../golden/records.txt");

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    let pair = |at| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(pair).collect()
}

fn account() -> AccountId {
    AccountId::new(0x0102_0304).unwrap()
}

fn order() -> OrderId {
    OrderId::from_parts(MarketId(5), 0x1_2345, 0x0607_0809).unwrap()
}

fn command(action: Action) -> Command {
    let origin = Origin {
        gateway: GatewayId(0x1112_1314),
        epoch: 0x2122_2324,
        sequence: 0x3132_3334_3536_3738,
    };
    Command { origin, time_us: 0x4142_4344_4546_4748, action }
}

fn place(kind: OrderKind) -> Action {
    Action::Place(Place {
        market: MarketId(0x0203),
        account: account(),
        side: Side::Ask,
        kind,
        time_in_force: TimeInForce::ImmediateOrCancel,
        self_trade_prevention: SelfTradePrevention::RejectBoth,
        client_id: Some(ClientId(0x5152_5354)),
        valid_until_us: 0x6162_6364_6566_6768,
    })
}

fn waiting() -> WaitingOrder {
    WaitingOrder {
        order: order(),
        place: Place {
            market: MarketId(5),
            account: account(),
            side: Side::Ask,
            kind: OrderKind::Limit { price: price(), lots: Lots(0x1f), post_only: true },
            time_in_force: TimeInForce::GoodTillCancelled,
            self_trade_prevention: SelfTradePrevention::RejectMaker,
            client_id: Some(ClientId(0x5152_5354)),
            valid_until_us: 0,
        },
        trigger: Trigger {
            price: Price::from_ticks(0xb_1929_3949).unwrap(),
            by: TriggerBy::MarkPrice,
        },
        direction: TriggerDirection::Fall,
        created_us: 0x4142_4344_4546_4748,
    }
}

fn price() -> Price {
    Price::from_ticks(0x7_1727_3747).unwrap()
}

fn amend(target: Target) -> Action {
    Action::Amend(Amend {
        market: MarketId(0x0203),
        account: account(),
        target,
        price: Some(price()),
        lots: Some(Lots(0x8182_8384_8586_8788)),
        valid_until_us: 0x6162_6364_6566 * 1000,
    })
}

/// What rules and changes markets and accounts.
fn administration() -> Vec<(&'static str, Command)> {
    let market = MarketId(0x0203);
    let factor = std::num::NonZeroU32::new;
    let listing = Listing {
        market,
        base: AssetId(0x0a0b),
        quote: AssetId(0x0c0d),
        tick: Increment { mantissa: 0x2122_2324_2526_2728, scale: 7 },
        step: Increment { mantissa: 0x3132_3334_3536_3738, scale: 9 },
    };
    let price_terms = PriceTerms {
        price_min: Price::from_ticks(0x17).unwrap(),
        price_max: price(),
        band: Multipliers { min_millionths: factor(750_000), max_millionths: None },
        impact: Multipliers { min_millionths: None, max_millionths: factor(1_030_000) },
    };
    let lot_terms = LotTerms {
        lots_min: Lots(0x0102),
        lots_max: Lots(0x8182_8384_8586_8788),
        maker_fee: FeeRate { millionths: 800 },
        taker_fee: FeeRate { millionths: 1000 },
    };
    vec![
        ("set_book_state", command(Action::SetBookState { market, state: BookState::CancelOnly })),
        (
            "set_cancel_after",
            command(Action::SetCancelAfter {
                account: account(),
                holder: GatewayId(0x2a2b_2c2d),
                timeout_ms: 60_000,
            }),
        ),
        (
            "expire_cancel_after",
            command(Action::ExpireCancelAfter {
                account: account(),
                holder: GatewayId(0x2a2b_2c2d),
                deadline_us: 0x6162_6364_6566_6768,
            }),
        ),
        ("list_market", command(Action::ListMarket(listing))),
        ("set_price_terms", command(Action::SetPriceTerms { market, terms: price_terms })),
        ("set_lot_terms", command(Action::SetLotTerms { market, terms: lot_terms })),
    ]
}

fn commands() -> Vec<(&'static str, Command)> {
    let (price, lots) = (price(), Lots(0x8182_8384_8586_8788));
    let transfer = Transfer {
        account: account(),
        asset: AssetId(0x0a0b),
        units: Units(0x9192_9394_9596_9798),
        id: TransferId(0xa1a2_a3a4_a5a6_a7a8_b1b2_b3b4_b5b6_b7b8),
    };
    let market = MarketId(0x0203);
    let cancel = |target| Action::Cancel { market, account: account(), target };
    let Action::Place(mut placed) = place(OrderKind::MarketByLots { lots }) else { unreachable!() };
    placed.valid_until_us = 0x6162_6364_6566 * 1000;
    let WaitingOrder { trigger, .. } = waiting();
    let fire = Command { origin: Origin::INTERNAL, ..command(Action::Fire(waiting())) };
    let all = CancelAll {
        market,
        account: account(),
        kinds: CancelKinds::Waiting,
        created_until_us: 0x6162_6364_6566_6768,
    };
    let mut commands = vec![
        ("place_limit", command(place(OrderKind::Limit { price, lots, post_only: true }))),
        ("place_market_by_lots", command(place(OrderKind::MarketByLots { lots }))),
        ("place_market_by_quote", command(place(OrderKind::MarketByQuote { quote: Units(77) }))),
        ("cancel_order", command(cancel(Target::Order(order())))),
        ("cancel_client", command(cancel(Target::Client(ClientId(0x5152_5354))))),
        ("cancel_all", command(Action::CancelAll(all))),
        ("place_trigger", command(Action::PlaceTrigger(TriggerPlace { place: placed, trigger }))),
        ("fire", fire),
        ("amend_order", command(amend(Target::Order(order())))),
        ("amend_client", command(amend(Target::Client(ClientId(0x5152_5354))))),
        ("create_account", command(Action::CreateAccount)),
        ("deposit", command(Action::Deposit(transfer))),
        ("withdraw", command(Action::Withdraw(transfer))),
    ];
    commands.extend(administration());
    commands
}

fn events() -> Vec<(&'static str, Event)> {
    let price = price();
    let trade = Trade {
        id: TradeId(0xc1c2_c3c4_c5c6_c7c8),
        maker_account: account(),
        maker_order: order(),
        taker_side: Side::Ask,
        price,
        lots: Lots(0xd1),
        maker_fee: Units(0xe1),
        taker_fee: Units(0xf1),
        maker_lots_left: Lots(0x1d),
    };
    let closed = Closed {
        order: order(),
        account: account(),
        client_id: Some(ClientId(0x5152_5354)),
        side: Side::Ask,
        time_in_force: TimeInForce::GoodTillCancelled,
        self_trade_prevention: SelfTradePrevention::RejectMaker,
        post_only: true,
        reason: ClosedReason::SelfTradePrevention,
        price,
        lots: Lots(0x1f),
        lots_left: Lots(0x1e),
        executed_quote: Units(0x1a1b),
        created_us: 0x4142_4344_4546_4748,
    };
    let withdrawn = Withdrawn { waiting: waiting(), reason: ClosedReason::Amended };
    vec![
        ("trade", Event::Trade(trade)),
        ("closed", Event::Closed(closed)),
        ("withdrawn", Event::Withdrawn(withdrawn)),
    ]
}

fn frames() -> Vec<(&'static str, Vec<u8>)> {
    let (order, lots_left) = (order(), Lots(9));
    let reason = ClosedReason::InsufficientLiquidity;
    let outcomes = [
        ("rested", Outcome::Rested { order, lots_left }),
        ("filled", Outcome::Filled { order }),
        ("expired", Outcome::Expired { order, lots_left, reason }),
        ("cancelled", Outcome::Cancelled),
        ("account_created", Outcome::AccountCreated { account: account() }),
        ("transferred", Outcome::Transferred),
        ("repeated", Outcome::Repeated { first: Sequence(7) }),
        ("refused", Outcome::Refused(Refusal::InsufficientFunds)),
        ("recognised", Outcome::Recognised { first: Sequence(7) }),
        ("book_state_set", Outcome::BookStateSet),
        ("waits", Outcome::Waits { order, direction: TriggerDirection::Fall }),
        ("trigger_failed", Outcome::TriggerFailed { order, refusal: Refusal::InsufficientFunds }),
        ("cancel_after_set", Outcome::CancelAfterSet { deadline_us: 0x7172_7374_7576_7778 }),
        ("cancel_after_expired", Outcome::CancelAfterExpired),
        ("market_listed", Outcome::MarketListed),
        ("terms_set", Outcome::TermsSet),
    ];
    let mut writer = FrameWriter::new(3);
    let frame = |(name, outcome)| {
        let header = FrameHeader {
            sequence: Sequence(0x0102_0304_0506_0708),
            previous: Some(Sequence(0x0102_0304_0506_0707)),
            cursor: StreamCursor { milliseconds: 1_767_225_600_000, counter: 3 },
            outcome,
            held: Units(0x2a2b),
            digest: StateDigest::from_bits(0x9988_7766_5544).unwrap(),
        };
        writer.clear();
        events().iter().for_each(|(_, event)| writer.push(event));
        let (_, command) = commands()[0];
        (name, writer.finish(&header, &command).concat())
    };
    outcomes.into_iter().map(frame).collect()
}

/// All of them as the golden file has them: a name and the bytes in hexadecimal, a line each.
fn rendered() -> String {
    let mut lines = Vec::new();
    lines.extend(commands().iter().map(|(name, it)| format!("{name} {}", hex(&it.encode()))));
    lines.extend(events().iter().map(|(name, it)| format!("{name} {}", hex(&it.encode()))));
    lines.extend(frames().iter().map(|(name, it)| format!("frame_{name} {}", hex(&it[..64]))));
    lines.join("\n") + "\n"
}

#[test]
fn bytes_are_as_pinned() {
    assert_eq!(rendered(), GOLDEN, "the bytes found are on the left");
}

#[test]
fn pinned_bytes_decode_to_what_they_were() {
    for (name, expected) in commands() {
        let line = GOLDEN.lines().find_map(|line| line.strip_prefix(&format!("{name} "))).unwrap();
        assert_eq!(Command::decode_slice(&unhex(line)), Ok(expected), "{name}");
    }
    for (name, expected) in events() {
        let line = GOLDEN.lines().find_map(|line| line.strip_prefix(&format!("{name} "))).unwrap();
        let record = unhex(line).try_into().unwrap();
        assert_eq!(Event::decode(&record), Ok(expected), "{name}");
    }
    for (name, bytes) in frames() {
        let frame = Frame::parse(&bytes).unwrap();
        let expected = events().into_iter().map(|(_, event)| event);
        assert!(frame.events().eq(expected), "{name}");
        let mut writer = FrameWriter::new(3);
        frame.events().for_each(|event| writer.push(&event));
        assert_eq!(writer.finish(&frame.header, &frame.command).concat(), bytes, "{name}");
    }
}

#[test]
fn frames_one_behind_the_other_are_read_up_to_the_first_that_is_none() {
    let (_, one) = frames().remove(0);
    let mut bytes = [one.as_slice(), &one, &one].concat();
    assert_eq!(Frame::each_of(&bytes).filter(Result::is_ok).count(), 3);
    assert_eq!(Frame::each_of(&[]).count(), 0);
    bytes[one.len()] = 0;
    let read: Vec<_> = Frame::each_of(&bytes).collect();
    assert_eq!(read[0].unwrap().bytes(), one);
    assert_eq!(read[1..], [Err(DecodeError::Kind(0))]);
}

proptest::proptest! {
    #[test]
    fn no_bytes_make_decoding_panic(
        mut bytes in proptest::collection::vec(0u8.., 0..400),
        kind in 0u8..18,
        frame: bool,
    ) {
        if let [first, version, ..] = bytes.as_mut_slice() {
            *first = if frame { protocol::frame::FRAME } else { kind };
            *version = protocol::record::VERSION;
        }
        // Whatever decodes encodes to the same bytes again.
        if let Ok(command) = Command::decode_slice(&bytes) {
            proptest::prop_assert_eq!(command.encode().to_vec(), bytes.clone());
        }
        if let Ok((frame, rest)) = Frame::split_from(&bytes) {
            proptest::prop_assert_eq!(frame.bytes().len() + rest.len(), bytes.len());
        }
    }

    #[test]
    fn a_command_with_noise_decodes_to_itself_or_not_at_all(
        at in 0usize..64,
        noise: u8,
        which in 0usize..19,
    ) {
        let mut record = commands()[which].1.encode();
        record[at] ^= noise;
        if let Ok(command) = Command::decode(&record) {
            proptest::prop_assert_eq!(command.encode(), record);
        }
    }
}
