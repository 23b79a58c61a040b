//! Browser accounts from the outside: signing up, in and out, and who is kept out.

use io_gateway::link::Health;
use serde_json::{Value, json};
use xtask::private_servers::Server;

use crate::fake_engine::{self, FakeEngine};
use crate::migrated_postgres::MigratedPostgres;
use crate::{Stand, clock};

pub const PASSWORD: &str = "correct horse battery";

/// A gateway with an engine and a database behind it.
pub struct Exchange {
    pub redis: Server,
    pub postgres: MigratedPostgres,
    pub engine: FakeEngine,
    pub stand: Stand,
}

impl Exchange {
    pub async fn start(settings: &str) -> Exchange {
        let (redis, postgres) =
            (Server::redis("gateway").unwrap(), MigratedPostgres::start().await);
        let engine = fake_engine::run(&redis, &["SOL_USDC"]).await;
        let settings = format!("reply_timeout_ms = 700\n{settings}\n");
        let stand = Stand::start_set(&redis.url, postgres.url(), &settings).await;
        stand.eventually(Health::is_whole).await;
        Exchange { redis, postgres, engine, stand }
    }

    /// One more gateway on the same engine and database.
    pub async fn other_gateway(&self, settings: &str) -> Stand {
        let other = Stand::start_set(&self.redis.url, self.postgres.url(), settings).await;
        other.eventually(Health::is_whole).await;
        other
    }

    pub async fn count(&self, what: &'static str) -> i64 {
        sqlx::query_scalar(what).fetch_one(&self.postgres.pool).await.unwrap()
    }
}

/// What a browser holds after signing in.
#[derive(Clone, Debug)]
pub struct Browser {
    pub account: String,
    pub cookie: String,
    pub csrf: String,
}

impl Browser {
    /// Reads the answer of a sign-up or sign-in.
    pub fn of((head, body): &(String, String)) -> Browser {
        assert!(head.starts_with("HTTP/1.1 200"), "{head}\n{body}");
        let body: Value = serde_json::from_str(body).unwrap();
        assert!(head.contains("cache-control: no-store"), "{head}");
        let cookie = head.lines().find_map(|line| line.strip_prefix("set-cookie: ")).unwrap();
        let (pair, attributes) = cookie.split_once("; ").unwrap();
        assert_eq!(attributes, "HttpOnly; SameSite=Strict; Path=/; Max-Age=2592000");
        let text = |name: &str| body[name].as_str().unwrap().to_owned();
        Browser { account: text("accountId"), cookie: pair.to_owned(), csrf: text("csrfToken") }
    }

    pub fn headers(&self) -> String {
        format!("Cookie: theme=dark; {}\r\nX-CSRF-Token: {}\r\n", self.cookie, self.csrf)
    }

    pub fn cookie_alone(&self) -> String {
        format!("Cookie: {}\r\n", self.cookie)
    }
}

pub fn credentials(email: &str, password: &str) -> String {
    json!({"email": email, "password": password}).to_string()
}

impl Stand {
    pub async fn auth(&self, path: &str, email: &str, password: &str) -> (u16, Value) {
        let path = format!("/auth/v1/{path}");
        self.json("POST", &path, "", &credentials(email, password)).await
    }

    pub async fn browser(&self, path: &str, email: &str) -> Browser {
        let (path, body) = (format!("/auth/v1/{path}"), credentials(email, PASSWORD));
        let headers = "Content-Type: application/json\r\n";
        Browser::of(&self.whole("POST", &path, headers, body.as_bytes()).await)
    }
}

pub fn code(answer: &(u16, Value)) -> (u16, &str) {
    (answer.0, answer.1["code"].as_str().unwrap_or_default())
}

#[tokio::test]
async fn who_signs_up_trades_without_a_signature_until_signing_out() {
    let exchange = Exchange::start("").await;
    let stand = &exchange.stand;
    let ann = stand.browser("signup", "Ann@Example.org").await;
    assert_eq!(ann.account, "5");
    let me = stand.json("GET", "/auth/v1/me", &ann.cookie_alone(), "").await;
    let expected = json!({"accountId": "5", "email": "ann@example.org", "csrfToken": ann.csrf});
    assert_eq!(me, (200, expected));

    let again = stand.browser("login", "ANN@example.org").await;
    assert_eq!(again.account, ann.account);
    assert_ne!((&again.cookie, &again.csrf), (&ann.cookie, &ann.csrf));
    let capital = stand.json("GET", "/api/v1/capital", &again.headers(), "").await;
    assert_eq!((capital.0, &capital.1["USDC"]["available"]), (200, &json!("1.5")));
    let order = r#"{"symbol":"SOL_USDC","side":"Bid","orderType":"Limit",
        "price":"19","quantity":"1"}"#;
    let placed = stand.json("POST", "/api/v1/order", &ann.headers(), order).await;
    assert_eq!((placed.0, &placed.1["status"]), (200, &json!("New")), "{}", placed.1);

    assert_eq!(stand.json("POST", "/auth/v1/logout", &ann.headers(), "").await, (200, json!({})));
    for path in ["/auth/v1/me", "/api/v1/capital"] {
        let gone = stand.json("GET", path, &ann.headers(), "").await;
        assert_eq!(code(&gone), (401, "UNAUTHORIZED"), "{path}");
    }
    assert_eq!(stand.json("GET", "/auth/v1/me", &again.headers(), "").await.0, 200);
    let kept = "SELECT count(*) FROM logins WHERE password_hash LIKE '$argon2id$%'";
    assert_eq!(exchange.count(kept).await, 1);
}

#[tokio::test]
async fn a_sign_up_that_failed_half_way_leaves_no_login_and_may_be_sent_again() {
    let exchange = Exchange::start("").await;
    let stand = &exchange.stand;
    exchange.engine.state().faults.lose_commands = usize::MAX;
    let lost = stand.auth("signup", "ann@example.org", PASSWORD).await;
    assert_eq!(code(&lost), (504, "TIMEOUT"));
    assert_eq!(exchange.count("SELECT count(*) FROM logins").await, 0);
    assert_eq!(code(&stand.auth("login", "ann@example.org", PASSWORD).await).0, 401);
    exchange.engine.state().faults.lose_commands = 0;
    stand.browser("signup", "ann@example.org").await;
    stand.browser("login", "ann@example.org").await;
}

#[tokio::test]
async fn one_address_is_registered_once_however_many_try_at_a_time() {
    let exchange = Exchange::start("").await;
    let stand = &exchange.stand;
    let emails = ["ann@example.org", "Ann@example.org", "ANN@EXAMPLE.ORG", "ann@Example.org"];
    let tries = emails.map(|email| stand.auth("signup", email, PASSWORD));
    let answers = futures_util::future::join_all(tries).await;
    let created = answers.iter().filter(|answer| answer.0 == 200).count();
    assert_eq!(created, 1, "{answers:?}");
    for answer in answers.iter().filter(|answer| answer.0 != 200) {
        assert_eq!(code(answer), (409, "PRECONDITION_FAILED"));
        assert!(answer.1["message"].as_str().unwrap().starts_with("email: "));
    }
    assert_eq!(exchange.count("SELECT count(*) FROM logins").await, 1);
    stand.browser("login", "ann@example.org").await;
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_address_are_told_alike_and_cost_one_hash_each() {
    let exchange = Exchange::start("").await;
    let stand = &exchange.stand;
    stand.browser("signup", "ann@example.org").await;
    let passwords = &stand.app.browser.passwords;
    let before = passwords.hashes();
    let wrong = stand.auth("login", "ann@example.org", "correct horse batterz").await;
    assert_eq!(passwords.hashes(), before + 1);
    let unknown = stand.auth("login", "bob@example.org", "correct horse batterz").await;
    assert_eq!(passwords.hashes(), before + 2);
    assert_eq!(wrong, unknown);
    assert_eq!(code(&wrong), (401, "UNAUTHORIZED"));
    let short = stand.auth("login", "ann@example.org", "x").await;
    assert_eq!(short, wrong, "a password too short to be one is a wrong one");
}

#[tokio::test]
async fn guessing_is_limited_per_mail_and_sign_ins_per_address() {
    let settings = "sign_ins_per_email_min = 3\nsign_ins_per_address_min = 5";
    let exchange = Exchange::start(settings).await;
    let stand = &exchange.stand;
    stand.browser("signup", "ann@example.org").await;
    for _ in 0..2 {
        assert_eq!(stand.auth("login", "ann@example.org", "not her password").await.0, 401);
    }
    let hashes = stand.app.browser.passwords.hashes();
    let limited = stand.auth("login", "ANN@example.org", PASSWORD).await;
    assert_eq!(code(&limited), (429, "TOO_MANY_REQUESTS"), "also with the right password");
    assert_eq!(stand.auth("login", "bob@example.org", PASSWORD).await.0, 401);
    let limited = stand.auth("login", "cid@example.org", PASSWORD).await;
    assert_eq!(code(&limited), (429, "TOO_MANY_REQUESTS"), "the address had its five");
    let forwarded = "X-Forwarded-For: 9.9.9.9\r\n";
    let body = credentials("dan@example.org", PASSWORD);
    let limited = stand.json("POST", "/auth/v1/login", forwarded, &body).await;
    assert_eq!(limited.0, 429, "who connects directly cannot choose its address");
    assert_eq!(stand.app.browser.passwords.hashes(), hashes + 1);
}

#[tokio::test]
async fn what_is_no_login_is_refused_by_name_and_changes_nothing() {
    let exchange = Exchange::start("").await;
    let stand = &exchange.stand;
    let long = "x".repeat(129);
    for (email, password, field) in [
        ("ann", PASSWORD, "email: "),
        ("", PASSWORD, "email: "),
        ("ann@example.org\r\nSet-Cookie: exchange_session=x", PASSWORD, "email: "),
        ("x'; DROP TABLE logins; --@example.org", PASSWORD, "email: "),
        ("ann@example.org\0", PASSWORD, "email: "),
        ("ann@example.org", "too short", "password: "),
        ("ann@example.org", &long, "password: "),
    ] {
        let refused = stand.auth("signup", email, password).await;
        assert_eq!(code(&refused), (400, "INVALID_CLIENT_REQUEST"), "{email} {password}");
        assert!(refused.1["message"].as_str().unwrap().starts_with(field), "{}", refused.1);
    }
    for body in [
        "",
        "{}",
        "[]",
        "{",
        r#"{"email":1,"password":"0123456789"}"#,
        r#"{"email":"ann@example.org"}"#,
        r#"{"email":"ann@example.org","password":null}"#,
    ] {
        for path in ["/auth/v1/signup", "/auth/v1/login"] {
            let refused = stand.json("POST", path, "", body).await;
            assert_eq!(code(&refused), (400, "INVALID_CLIENT_REQUEST"), "{path} {body}");
        }
    }
    let form = "Content-Type: text/plain\r\n";
    let body = credentials("ann@example.org", PASSWORD);
    let refused = stand.json("POST", "/auth/v1/signup", form, &body).await;
    assert_eq!(code(&refused), (400, "INVALID_CLIENT_REQUEST"), "a form of another page");
    assert_eq!(exchange.count("SELECT count(*) FROM logins").await, 0);
    assert_eq!(stand.app.browser.passwords.hashes(), 0);

    // What quotes and semicolons a password has is its own affair.
    let odd = "'; DROP TABLE logins; --";
    assert_eq!(stand.auth("signup", "o'neil@example.org", odd).await.0, 200);
    assert_eq!(stand.auth("login", "o'neil@example.org", odd).await.0, 200);
}

#[tokio::test]
async fn forged_expired_and_revoked_sessions_open_nothing() {
    let exchange = Exchange::start("").await;
    let stand = &exchange.stand;
    let ann = stand.browser("signup", "ann@example.org").await;
    let bob = stand.browser("signup", "bob@example.org").await;
    let capital =
        |headers: String| async move { stand.json("GET", "/api/v1/capital", &headers, "").await };
    let forged = Browser { cookie: "exchange_session=AAAA".to_owned(), ..ann.clone() };
    assert_eq!(code(&capital(forged.headers()).await), (401, "UNAUTHORIZED"));
    let last = if ann.cookie.ends_with('A') { "E" } else { "A" };
    let (start, _) = ann.cookie.split_at(ann.cookie.len() - 1);
    let forged = Browser { cookie: format!("{start}{last}"), ..ann.clone() };
    assert_eq!(code(&capital(forged.headers()).await), (401, "UNAUTHORIZED"));

    assert_eq!(code(&capital(ann.cookie_alone()).await), (403, "FORBIDDEN"));
    let mixed = Browser { csrf: bob.csrf.clone(), ..ann.clone() };
    assert_eq!(code(&capital(mixed.headers()).await), (403, "FORBIDDEN"));
    for path in ["/auth/v1/logout", "/auth/v1/keys"] {
        let body = r#"{"label":"x"}"#;
        let refused = stand.json("POST", path, &ann.cookie_alone(), body).await;
        assert_eq!(code(&refused), (403, "FORBIDDEN"), "{path}");
    }
    assert_eq!(capital(ann.headers()).await.0, 200);

    let other = exchange.other_gateway("id = 2\n").await;
    assert_eq!(other.json("GET", "/auth/v1/me", &ann.headers(), "").await.0, 200);
    stand.json("POST", "/auth/v1/logout", &ann.headers(), "").await;
    let revoked_at = clock::now_ms();
    assert_eq!(code(&capital(ann.headers()).await), (401, "UNAUTHORIZED"), "here at once");
    while other.json("GET", "/auth/v1/me", &ann.headers(), "").await.0 != 401 {
        assert!(clock::now_ms() < revoked_at + 1_000, "the other gateway took over a second");
    }

    exchange.postgres.execute("UPDATE sessions SET expires_at = now() - interval '1 s'").await;
    let third = exchange.other_gateway("id = 3\n").await;
    let expired = third.json("GET", "/auth/v1/me", &bob.headers(), "").await;
    assert_eq!(code(&expired), (401, "UNAUTHORIZED"));
}

#[tokio::test]
async fn the_faucet_gives_once_a_day_and_is_absent_when_it_is_off() {
    let exchange = Exchange::start("faucet = { USDC = \"1000\" }").await;
    let stand = &exchange.stand;
    let ann = stand.browser("signup", "ann@example.org").await;
    let ask = |headers: String, symbol: &'static str| async move {
        let body = json!({ "symbol": symbol }).to_string();
        stand.json("POST", "/auth/v1/faucet", &headers, &body).await
    };
    let given = json!({"accountId": "5", "symbol": "USDC", "quantity": "1000"});
    assert_eq!(code(&ask(ann.cookie_alone(), "USDC").await), (403, "FORBIDDEN"));
    assert_eq!(ask(ann.headers(), "USDC").await, (200, given.clone()));
    assert_eq!(code(&ask(ann.headers(), "USDC").await), (429, "TOO_MANY_REQUESTS"));
    for symbol in ["SOL", "EUR", ""] {
        assert_eq!(code(&ask(ann.headers(), symbol).await), (400, "INVALID_ASSET"), "{symbol}");
    }
    // Credited, but the answer was lost before it was written down.
    exchange.postgres.execute("DELETE FROM faucet_grants").await;
    assert_eq!(ask(ann.headers(), "USDC").await, (200, given), "the first answer again");
    let (_, config) = stand.json("GET", "/web/config.json", "", "").await;
    assert_eq!(config["faucet"], true);

    let without = exchange.other_gateway("id = 2\n").await;
    let body = r#"{"symbol":"USDC"}"#;
    let absent = without.json("POST", "/auth/v1/faucet", &ann.headers(), body).await;
    assert_eq!(code(&absent), (404, "RESOURCE_NOT_FOUND"));
    let (_, config) = without.json("GET", "/web/config.json", "", "").await;
    assert_eq!(config["faucet"], false);
}

#[tokio::test]
async fn no_page_of_another_origin_is_let_near_a_session() {
    let stand = Stand::start("redis://127.0.0.1:1/").await;
    let headers = "Origin: https://elsewhere.example\r\nAccess-Control-Request-Method: POST\r\n\
        Access-Control-Request-Headers: content-type,x-csrf-token\r\n";
    let (head, _) = stand.whole("OPTIONS", "/api/v1/order", headers, b"").await;
    let head = head.to_ascii_lowercase();
    assert!(head.contains("access-control-allow-headers: content-type,"), "{head}");
    assert!(!head.contains("x-csrf-token"), "{head}");
    assert!(!head.contains("access-control-allow-credentials"), "{head}");
}

#[tokio::test]
async fn without_the_database_nobody_signs_in_and_no_session_opens_anything() {
    let stand = Stand::start("redis://127.0.0.1:1/").await;
    for path in ["login", "signup"] {
        let away = stand.auth(path, "ann@example.org", PASSWORD).await;
        assert_eq!(code(&away), (503, "MAINTENANCE"), "{path}");
    }
    let cookie = format!("Cookie: exchange_session={}\r\n", "A".repeat(43));
    for path in ["/auth/v1/me", "/api/v1/capital"] {
        let away = stand.json("GET", path, &cookie, "").await;
        assert_eq!(code(&away), (503, "MAINTENANCE"), "{path}");
    }
}
