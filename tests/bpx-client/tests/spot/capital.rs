//! Account settings and limits, deposits and withdrawals.

use bpx_api_client::types::Blockchain;
use bpx_api_client::types::account::{MaxOrderQuery, UpdateAccountPayload};
use bpx_api_client::types::capital::{
    DepositSource, DepositStatus, RequestWithdrawalPayload, WithdrawalStatus,
};
use bpx_api_client::types::order::Side;
use bpx_client::{Caller, number};
use scenarios::eventually::eventually;
use scenarios::lane::Scenario;
use scenarios::world::World;

use super::two;

pub const SCENARIOS: &[Scenario] = &[
    ("bpx_api_client::settings_and_limits_are_the_accounts_own", settings_and_limits),
    ("bpx_api_client::deposits_are_listed", deposits),
    ("bpx_api_client::a_withdrawal_debits_and_is_confirmed", a_withdrawal),
];

const ADDRESS: &str = "7xKXtg2CW87d97TXJSDpbD5jBkheTqA83TZRuJosgAsU";

fn settings_and_limits(world: &mut World) {
    let (alice, _) = two(world);
    let settings = alice.ask(async |client| client.get_account().await);
    assert_eq!((settings.spot_maker_fee, settings.spot_taker_fee), (number("8"), number("10")));
    assert_eq!((settings.limit_orders, settings.liquidating), (0, false));
    let payload =
        UpdateAccountPayload { auto_lend: Some(false), ..UpdateAccountPayload::default() };
    alice.ask(async |client| client.update_account(payload).await);
    let payload = UpdateAccountPayload { auto_lend: Some(true), ..UpdateAccountPayload::default() };
    alice.refused(400, "NOT_IMPLEMENTED", async |client| client.update_account(payload).await);

    let query = MaxOrderQuery::new("SOL_USDC", Side::Bid).with_price(number("30"));
    let most = alice.ask(async |client| client.get_account_max_order(query).await);
    assert_eq!((most.max_order_quantity, most.side), (number("33.33"), Side::Bid));
    let query = MaxOrderQuery::new("SOL_USDC", Side::Ask).with_reduce_only(false);
    let most = alice.ask(async |client| client.get_account_max_order(query).await);
    assert_eq!(most.max_order_quantity, number("1000"));
    let most = alice.ask(async |client| {
        client.get_account_max_withdrawal("SOL", Some(false), Some(true)).await
    });
    assert_eq!(most.symbol, "SOL");
    assert!(most.max_withdrawal_quantity <= number("1000"));
    assert!(number("990") < most.max_withdrawal_quantity, "{most:?}");
}

fn deposits(world: &mut World) {
    let (alice, _) = two(world);
    let deposits = eventually("both deposits", || {
        let deposits = alice.ask(async |client| client.get_deposits(Some(100), Some(0)).await);
        if deposits.len() == 2 { Ok(deposits) } else { Err(deposits) }
    });
    // Newest first.
    let told: Vec<_> = deposits.iter().map(|row| (row.symbol.as_str(), row.quantity)).collect();
    assert_eq!(told, [("USDC", number("1000")), ("SOL", number("1000"))]);
    for row in &deposits {
        assert_eq!(
            (row.source, row.status),
            (DepositSource::Administrator, DepositStatus::Confirmed)
        );
    }
    let one = alice.ask(async |client| client.get_deposits(Some(1), Some(1)).await);
    assert_eq!((one.len(), one[0].id), (1, deposits[1].id));
    let address = |caller: &Caller| {
        caller.ask(async |client| client.get_deposit_address(Blockchain::Solana).await).address
    };
    assert_eq!(address(&alice), address(&alice));
    assert!(!address(&alice).is_empty());
}

fn a_withdrawal(world: &mut World) {
    let (alice, _) = two(world);
    let assets = alice.ask(async |client| client.get_assets().await);
    let usdc = assets.iter().find(|asset| asset.symbol == "USDC").unwrap();
    let payload = RequestWithdrawalPayload {
        address: ADDRESS.to_owned(),
        blockchain: usdc.tokens[0].blockchain,
        client_id: Some("rent".to_owned()),
        quantity: number("12.5"),
        symbol: "USDC".to_owned(),
        ..RequestWithdrawalPayload::default()
    };
    let more = RequestWithdrawalPayload { quantity: number("1000000"), ..payload.clone() };
    alice.refused(400, "INSUFFICIENT_FUNDS", async |client| client.request_withdrawal(more).await);
    let made = alice.ask(async |client| client.request_withdrawal(payload).await);
    assert_eq!((made.quantity, made.symbol.as_str()), (number("12.5"), "USDC"));
    assert_eq!((made.to_address.as_str(), made.client_id.as_deref()), (ADDRESS, Some("rent")));
    assert_eq!(alice.balance("USDC").0, number("1000") - number("12.5") - made.fee);
    eventually("it is confirmed", || {
        let rows = alice.ask(async |client| client.get_withdrawals(Some(10), None).await);
        let row = rows.into_iter().find(|row| row.id == made.id).ok_or("not listed")?;
        if row.status == WithdrawalStatus::Confirmed { Ok(()) } else { Err("not confirmed") }
    });
}
