//! What the browser's own paths share: logins, sessions, passwords, their limits and the faucet.

use sqlx::PgPool;

use crate::config::Config;
use crate::faucet::Faucet;
use crate::logins::Logins;
use crate::passwords::Passwords;
use crate::sessions::Sessions;
use crate::sign_in_limits::SignInLimits;

#[derive(Debug)]
pub struct BrowserAccounts {
    pub logins: Logins,
    pub sessions: Sessions,
    pub passwords: Passwords,
    pub limits: SignInLimits,
    pub faucet: Faucet,
}

impl BrowserAccounts {
    pub fn new(pool: PgPool, config: &Config) -> Self {
        BrowserAccounts {
            logins: Logins::new(pool.clone()),
            sessions: Sessions::new(pool.clone(), config.cookie_transport),
            passwords: Passwords::default(),
            limits: SignInLimits::new(config.sign_in_rates),
            faucet: Faucet::new(pool, config.faucet.clone()),
        }
    }
}
