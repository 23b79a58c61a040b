//! Logins: e-mail address, password hash, and the account they open. PostgreSQL owns them.

use email_address::{EmailAddress, Options};
use protocol::AccountId;
use sqlx::postgres::PgRow;
use sqlx::{PgPool, Row};

use crate::error::{ApiError, Code};

/// Longest address that mail can be sent to.
pub const EMAIL_BYTES_MAX: usize = 254;

/// An e-mail address in lower case. ASCII alone, so that no two look alike.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Email(String);

impl Email {
    pub fn parse(text: &str) -> Result<Self, ApiError> {
        let options =
            Options::default().without_display_text().without_domain_literal().with_required_tld();
        // Quoted addresses may hold blanks and quotes; nobody has one.
        let is_plain = text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"');
        let is_address = is_plain
            && text.len() <= EMAIL_BYTES_MAX
            && EmailAddress::parse_with_options(text, options).is_ok();
        match is_address {
            true => Ok(Email(text.to_ascii_lowercase())),
            false => Err(ApiError::field("email", "must be an e-mail address")),
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[derive(Clone, Debug)]
pub struct Login {
    pub id: i64,
    pub account: AccountId,
    pub email: String,
    pub password_hash: String,
}

#[derive(Clone, Debug)]
pub struct Logins {
    pool: PgPool,
}

impl Logins {
    pub fn new(pool: PgPool) -> Self {
        Logins { pool }
    }

    pub async fn find(&self, email: &Email) -> Result<Option<Login>, ApiError> {
        let row = sqlx::query(
            "SELECT id, account_id, email, password_hash FROM logins WHERE lower(email) = $1",
        )
        .bind(email.as_str())
        .fetch_optional(&self.pool)
        .await
        .map_err(|error| unavailable(&error))?;
        row.as_ref().map(read).transpose()
    }

    /// A login for an account that the engine has just opened. Whoever comes second with an address
    /// is refused, also when both come at the same time.
    pub async fn create(
        &self,
        email: &Email,
        password_hash: &str,
        account: AccountId,
    ) -> Result<Login, ApiError> {
        let id = i64::from(account.get());
        let mut transaction = self.pool.begin().await.map_err(|error| unavailable(&error))?;
        sqlx::query("INSERT INTO accounts (id) VALUES ($1) ON CONFLICT (id) DO NOTHING")
            .bind(id)
            .execute(&mut *transaction)
            .await
            .map_err(|error| unavailable(&error))?;
        let row = sqlx::query(
            "INSERT INTO logins (email, password_hash, account_id) VALUES ($1, $2, $3) \
             ON CONFLICT (lower(email)) DO NOTHING \
             RETURNING id, account_id, email, password_hash",
        )
        .bind(email.as_str())
        .bind(password_hash)
        .bind(id)
        .fetch_optional(&mut *transaction)
        .await
        .map_err(|error| unavailable(&error))?;
        transaction.commit().await.map_err(|error| unavailable(&error))?;
        row.as_ref().map(read).transpose()?.ok_or_else(taken)
    }
}

/// What is asked for is there already.
pub fn taken() -> ApiError {
    ApiError::new(Code::PreconditionFailed, "email: is registered already")
}

/// The database did not do its part.
pub fn unavailable(cause: &sqlx::Error) -> ApiError {
    ApiError::maintenance("Sign-in and keys are not available now").because(cause)
}

fn read(row: &PgRow) -> Result<Login, ApiError> {
    let account: i64 = row.try_get(1).map_err(ApiError::bug)?;
    let account = u32::try_from(account).ok().and_then(AccountId::new);
    Ok(Login {
        id: row.try_get(0).map_err(ApiError::bug)?,
        account: account.ok_or_else(|| ApiError::bug("a login's account is out of range"))?,
        email: row.try_get(2).map_err(ApiError::bug)?,
        password_hash: row.try_get(3).map_err(ApiError::bug)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_without_regard_to_case() {
        assert_eq!(Email::parse("Ann@Example.org").unwrap().as_str(), "ann@example.org");
        assert!(Email::parse("ann+fun.1'x@sub.example.org").is_ok());
    }

    #[test]
    fn what_is_no_plain_address_is_refused_by_name() {
        let long = format!("{}@example.org", "a".repeat(250));
        for text in [
            "",
            "ann",
            "@example.org",
            "ann@",
            "ann@example",
            "a b@example.org",
            "ann@@example.org",
            "Ann <ann@example.org>",
            "\"a b\"@example.org",
            "ann@[127.0.0.1]",
            "ann@example.org\0",
            "ann@example.org\r\nSet-Cookie: x=y",
            "änn@example.org",
            "ann@еxample.org",
            &long,
            "ann@example.org ",
            "ann@example..org",
            "x'; DROP TABLE logins; --@example.org",
        ] {
            let error = Email::parse(text).unwrap_err();
            assert!(error.message.starts_with("email: "), "{text:?}: {}", error.message);
        }
    }
}
