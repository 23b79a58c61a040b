//! What an account could do with what it has. The engine's replica knows 1.5 USDC, one resting bid
//! of SOL_USDC and no ask.

use serde_json::{Value, json};
use xtask::private_servers::Server;

use crate::Stand;
use crate::fake_engine;

impl Stand {
    async fn order_limit(&self, query: &str) -> (u16, Value) {
        let path = format!("/api/v1/account/limits/order?{query}");
        self.signed(("GET", &path), "maxOrderQuantity", query, "").await
    }

    async fn withdrawal_limit(&self, query: &str) -> (u16, Value) {
        let path = format!("/api/v1/account/limits/withdrawal?{query}");
        self.signed(("GET", &path), "maxWithdrawalQuantity", query, "").await
    }
}

#[tokio::test]
async fn an_account_learns_how_much_it_can_order_and_withdraw() {
    let redis = Server::redis("gateway").unwrap();
    let engine = fake_engine::run(&redis, &["SOL_USDC"]).await;
    let stand = Stand::ready(&redis).await;

    let limit = |side: &str, quantity: &str, price: Value| {
        json!({
            "maxOrderQuantity": quantity, "symbol": "SOL_USDC", "side": side, "price": price,
            "autoBorrow": null, "autoBorrowRepay": null, "autoLendRedeem": null,
            "reduceOnly": null,
        })
    };
    // 1.5 / 20.51 is 0.0731….
    let query = "autoBorrow=true&price=20.51&reduceOnly=true&side=Bid&symbol=SOL_USDC";
    assert_eq!(stand.order_limit(query).await, (200, limit("Bid", "0.07", json!("20.51"))));
    let query = "price=20.5&side=Ask&symbol=SOL_USDC";
    assert_eq!(stand.order_limit(query).await, (200, limit("Ask", "0.00", json!("20.50"))));
    let query = "side=Bid&symbol=SOL_USDC";
    let none = limit("Bid", "0.00", Value::Null);
    assert_eq!(stand.order_limit(query).await, (200, none), "nobody asks for a price");
    engine.state().best_ask = Some(2100);
    let best = limit("Bid", "0.07", Value::Null);
    assert_eq!(stand.order_limit(query).await, (200, best), "at the best ask");
    for (query, code) in [
        ("side=Bid", "INVALID_CLIENT_REQUEST"),
        ("symbol=SOL_USDC", "INVALID_CLIENT_REQUEST"),
        ("side=Buy&symbol=SOL_USDC", "INVALID_CLIENT_REQUEST"),
        ("side=Bid&symbol=SOL_EUR", "INVALID_CLIENT_REQUEST"),
        ("price=20.505&side=Bid&symbol=SOL_USDC", "INVALID_PRICE"),
        ("price=0&side=Bid&symbol=SOL_USDC", "INVALID_PRICE"),
        ("price=x&side=Bid&symbol=SOL_USDC", "INVALID_CLIENT_REQUEST"),
    ] {
        let (status, error) = stand.order_limit(query).await;
        assert_eq!((status, &error["code"]), (400, &json!(code)), "{query}: {error}");
    }

    let limit = |symbol: &str, quantity: &str| {
        json!({
            "maxWithdrawalQuantity": quantity, "symbol": symbol, "autoBorrow": null,
            "autoLendRedeem": null,
        })
    };
    let query = "autoBorrow=false&symbol=USDC";
    assert_eq!(stand.withdrawal_limit(query).await, (200, limit("USDC", "1.5")));
    assert_eq!(stand.withdrawal_limit("symbol=SOL").await, (200, limit("SOL", "0")));
    let (status, error) = stand.withdrawal_limit("symbol=EUR").await;
    assert_eq!((status, &error["code"]), (400, &json!("INVALID_ASSET")));

    let path = ("GET", "/api/v1/capital/collateral");
    let (status, summary) = stand.signed(path, "collateralQuery", "", "").await;
    assert_eq!((status, &summary["netEquityAvailable"]), (200, &json!("1.5")), "{summary}");
    assert_eq!((&summary["imf"], &summary["marginFraction"]), (&json!("0"), &Value::Null));
    assert_eq!(summary["collateral"][0]["symbol"], "USDC");
    assert_eq!(stand.signed(path, "balanceQuery", "", "").await.0, 401);

    drop(redis);
    stand.eventually(|health| !health.redis).await;
    let (status, error) = stand.order_limit("side=Bid&symbol=SOL_USDC").await;
    assert_eq!((status, &error["code"]), (503, &json!("MAINTENANCE")));
}

#[tokio::test]
async fn every_asset_tells_how_little_can_be_withdrawn() {
    let stand = Stand::start("redis://127.0.0.1:1/").await;
    let (_, assets) = stand.json("GET", "/api/v1/assets", "", "").await;
    let token = &assets[1]["tokens"][0];
    assert_eq!(
        (&token["minimumWithdrawal"], &token["withdrawalFee"]),
        (&json!("0.000000001"), &json!("0"))
    );
}
