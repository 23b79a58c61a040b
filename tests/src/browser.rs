//! Somebody who came with an e-mail address and a password, and has a session in place of a key.

use std::time::Duration;

use serde_json::{Value, json};
use ureq::http::Method;
use xtask::client::{Client, now_ms};
use xtask::http;
use xtask::signing::KeyPair;

use crate::client::{Reply, Trader};
use crate::eventually::SECOND;
use crate::world::World;

const PASSWORD: &str = "correct horse battery";

pub struct Browser {
    rest_url: String,
    /// As the `Cookie` header has it.
    pub cookie: String,
    csrf: String,
    pub account: String,
}

impl Browser {
    pub fn sign_up(world: &World, name: &str) -> Browser {
        let rest_url = world.rest_url().to_owned();
        let config = ureq::Agent::config_builder().timeout_global(Some(15 * SECOND)).proxy(None);
        let email = format!("{name}-{}@example.org", now_ms());
        let body = json!({ "email": email, "password": PASSWORD }).to_string();
        let request = config.build().new_agent().post(format!("{rest_url}/auth/v1/signup"));
        let request = request.header("Content-Type", "application/json");
        let mut response = request.send(body).unwrap();
        let cookie = response.headers()["set-cookie"].to_str().unwrap();
        let cookie = cookie.split(';').next().unwrap().to_owned();
        let answer: Value =
            serde_json::from_str(&response.body_mut().read_to_string().unwrap()).unwrap();
        let text = |member: &str| answer[member].as_str().unwrap().to_owned();
        Browser { rest_url, cookie, csrf: text("csrfToken"), account: text("accountId") }
    }

    pub fn call(&self, method: Method, path: &str, body: &Value) -> Reply {
        let headers = [("Cookie", self.cookie.as_str()), ("X-CSRF-Token", self.csrf.as_str())];
        let url = format!("{}{path}", self.rest_url);
        let answer = http::call(method, &url, &headers, Some(body), 15 * SECOND).unwrap();
        Reply::of(answer, Duration::ZERO)
    }

    /// One who trades with a key of this account that may only read.
    pub fn reader(&self) -> Trader {
        let asked = json!({ "label": "reads", "readOnly": true });
        let made = self.call(Method::POST, "/auth/v1/keys", &asked).ok();
        let text = |member: &str| made[member].as_str().unwrap().to_owned();
        let keys = KeyPair { api_key: text("publicKey"), api_secret: text("secret") };
        let client = Client { rest_url: self.rest_url.clone(), keys };
        Trader { name: "reader".to_owned(), account: self.account.clone(), client }
    }
}
