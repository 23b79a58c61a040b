//! Deposits and withdrawals as their account sees them: the engine's transfers, as the sink wrote
//! them, and what a withdrawal was asked for, which the engine does not know.
//!
//! Invariant: a request is written before the engine is told, and whether it happened is read from
//! the engine's transfer. So whenever the gateway ends, no debit is without its address and no
//! refused request is told of as a withdrawal.

use chrono::{DateTime, Utc};
use protocol::{AccountId, AssetId, TransferId, Units};
use sha2::{Digest, Sha256};
use sqlx::PgPool;

use crate::error::ApiError;
use crate::past_order_rows::unsigned;
use crate::past_orders::column;

/// Least amount of a withdrawal; there is no greatest but what the account has.
pub const WITHDRAWAL_MIN: Units = Units(1);
pub const WITHDRAWAL_FEE: Units = Units::ZERO;

#[derive(Clone, Debug)]
pub struct Transfers {
    pool: PgPool,
}

/// Newest first: a period, and a page of what is in it.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    pub account: AccountId,
    pub from: DateTime<Utc>,
    /// The first moment after the period.
    pub until: DateTime<Utc>,
    pub limit: i64,
    pub offset: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deposit {
    pub number: i32,
    pub at: DateTime<Utc>,
    pub asset: AssetId,
    pub units: Units,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Withdrawal {
    pub number: i32,
    pub at: DateTime<Utc>,
    pub asset: AssetId,
    pub units: Units,
    pub fee: Units,
    /// `None`: the operator took it.
    pub destination: Option<Destination>,
    pub client_id: Option<String>,
    /// The debit is in the database too.
    pub is_confirmed: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    pub blockchain: String,
    pub address: String,
}

/// What a client asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WithdrawalRequest {
    pub account: AccountId,
    pub asset: AssetId,
    pub units: Units,
    pub destination: Destination,
    pub client_id: Option<String>,
    pub transfer: TransferId,
}

/// A request as it is written down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requested {
    pub withdrawal: Withdrawal,
    /// The engine is known to have debited it.
    pub is_debited: bool,
}

impl Requested {
    pub fn is_same(&self, request: &WithdrawalRequest) -> bool {
        let written = &self.withdrawal;
        (written.asset, written.units) == (request.asset, request.units)
            && written.destination.as_ref() == Some(&request.destination)
    }
}

/// Names the transfer of a withdrawal that its client named: the same name, the same transfer. The
/// words in front keep it apart from the names that the operator gives.
pub fn transfer_of(account: AccountId, client_id: &str) -> TransferId {
    let mut bytes = [0; 16];
    let named = format!("withdrawal\0{account}\0{client_id}");
    bytes.copy_from_slice(&Sha256::digest(named)[..16]);
    TransferId(u128::from_le_bytes(bytes))
}

/// The column's form of it.
fn uuid(transfer: TransferId) -> String {
    format!("{:032x}", transfer.0)
}

const DEPOSITS: &str = "\
    SELECT number, ts, asset_id, units FROM transfers \
    WHERE account_id = $1 AND kind = 1 AND $2 <= ts AND ts < $3 \
    ORDER BY ts DESC, sequence DESC LIMIT $4 OFFSET $5";

/// What clients asked for and the engine did, and what the operator took without such a request.
const WITHDRAWALS: &str = "\
    SELECT * FROM ( \
     (SELECT r.number, r.created_at AS at, r.asset_id, r.units, r.fee_units, r.blockchain, \
       r.address, r.client_id, r.debited_at IS NOT NULL AS is_debited, \
       EXISTS (SELECT FROM transfers AS t WHERE t.transfer_id = r.transfer_id) AS is_confirmed \
      FROM withdrawal_requests AS r \
      WHERE r.account_id = $1 AND $2 <= r.created_at AND r.created_at < $3 \
       AND ($6::integer IS NULL OR r.number = $6) \
       AND ($7::text IS NULL OR r.transfer_id = $7::uuid) \
       AND (r.debited_at IS NOT NULL \
        OR EXISTS (SELECT FROM transfers AS t WHERE t.transfer_id = r.transfer_id)) \
      ORDER BY r.created_at DESC, r.number DESC LIMIT $4 + $5) \
     UNION ALL \
     (SELECT t.number, t.ts, t.asset_id, t.units, 0, NULL, NULL, NULL, true, true \
      FROM transfers AS t \
      WHERE t.account_id = $1 AND t.kind = 2 AND $2 <= t.ts AND t.ts < $3 \
       AND ($6::integer IS NULL OR t.number = $6) AND $7::text IS NULL \
       AND NOT EXISTS (SELECT FROM withdrawal_requests AS r WHERE r.transfer_id = t.transfer_id) \
      ORDER BY t.ts DESC, t.sequence DESC LIMIT $4 + $5) \
    ) AS both_kinds ORDER BY at DESC, number DESC LIMIT $4 OFFSET $5";

const REQUESTED: &str = "\
    SELECT r.number, r.created_at AS at, r.asset_id, r.units, r.fee_units, r.blockchain, \
     r.address, r.client_id, r.debited_at IS NOT NULL AS is_debited, \
     EXISTS (SELECT FROM transfers AS t WHERE t.transfer_id = r.transfer_id) AS is_confirmed \
    FROM withdrawal_requests AS r WHERE r.transfer_id = $1::text::uuid";

/// Whoever is about to ask the engine is counted.
const REQUEST: &str = "\
    INSERT INTO withdrawal_requests AS r (account_id, client_id, blockchain, address, asset_id, \
     units, fee_units, transfer_id) \
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8::text::uuid) \
    ON CONFLICT (transfer_id) DO UPDATE SET submissions = r.submissions + 1 \
    RETURNING r.number, r.created_at AS at, r.asset_id, r.units, r.fee_units, r.blockchain, \
     r.address, r.client_id, r.debited_at IS NOT NULL AS is_debited, \
     EXISTS (SELECT FROM transfers AS t WHERE t.transfer_id = r.transfer_id) AS is_confirmed";

const DEBITED: &str =
    "UPDATE withdrawal_requests SET debited_at = now() WHERE number = $1 AND debited_at IS NULL";

/// Where another asks for the same at the same time, its answer may be another: the row stays.
const FORGET: &str = "\
    DELETE FROM withdrawal_requests \
    WHERE number = $1 AND submissions = 1 AND debited_at IS NULL";

impl Transfers {
    pub fn new(pool: PgPool) -> Self {
        Transfers { pool }
    }

    pub async fn deposits(&self, wanted: &Wanted) -> Result<Vec<Deposit>, ApiError> {
        let rows: Vec<(i32, DateTime<Utc>, i16, i64)> = sqlx::query_as(DEPOSITS)
            .bind(column::<_, i32>(wanted.account.get())?)
            .bind(wanted.from)
            .bind(wanted.until)
            .bind(wanted.limit)
            .bind(wanted.offset)
            .fetch_all(&self.pool)
            .await
            .map_err(|error| ApiError::database(&error))?;
        let deposit = |(number, at, asset, units): (i32, DateTime<Utc>, i16, i64)| {
            let (asset, units) = (asset_id(asset), unsigned(units).map(Units));
            let read = asset.zip(units).map(|(asset, units)| Deposit { number, at, asset, units });
            read.ok_or_else(|| ApiError::bug(format_args!("transfer {number} is no deposit")))
        };
        rows.into_iter().map(deposit).collect()
    }

    /// Of one number or transfer alone, where they are given.
    pub async fn withdrawals(
        &self,
        wanted: &Wanted,
        number: Option<i32>,
        transfer: Option<TransferId>,
    ) -> Result<Vec<Withdrawal>, ApiError> {
        let rows: Vec<RequestRow> = sqlx::query_as(WITHDRAWALS)
            .bind(column::<_, i32>(wanted.account.get())?)
            .bind(wanted.from)
            .bind(wanted.until)
            .bind(wanted.limit)
            .bind(wanted.offset)
            .bind(number)
            .bind(transfer.map(uuid))
            .fetch_all(&self.pool)
            .await
            .map_err(|error| ApiError::database(&error))?;
        rows.into_iter().map(|row| row.requested().map(|it| it.withdrawal)).collect()
    }

    /// The request that was made under this name, if there was one.
    pub async fn requested(&self, transfer: TransferId) -> Result<Option<Requested>, ApiError> {
        let row: Option<RequestRow> = sqlx::query_as(REQUESTED)
            .bind(uuid(transfer))
            .fetch_optional(&self.pool)
            .await
            .map_err(|error| ApiError::database(&error))?;
        row.map(RequestRow::requested).transpose()
    }

    /// Writes a request down; or finds the one of the same name, which may be for something else.
    pub async fn request(&self, request: &WithdrawalRequest) -> Result<Requested, ApiError> {
        let row: RequestRow = sqlx::query_as(REQUEST)
            .bind(column::<_, i32>(request.account.get())?)
            .bind(&request.client_id)
            .bind(&request.destination.blockchain)
            .bind(&request.destination.address)
            .bind(column::<_, i16>(request.asset.0)?)
            .bind(column::<_, i64>(request.units.0)?)
            .bind(column::<_, i64>(WITHDRAWAL_FEE.0)?)
            .bind(uuid(request.transfer))
            .fetch_one(&self.pool)
            .await
            .map_err(|error| ApiError::database(&error))?;
        row.requested()
    }

    /// Notes that the engine has debited it. That has happened, so a failure here is only logged:
    /// the transfer's own row will say the same.
    pub async fn note_debited(&self, number: i32) {
        self.note(DEBITED, number).await;
    }

    /// Takes back a request that nobody carries out.
    pub async fn forget(&self, number: i32) {
        self.note(FORGET, number).await;
    }

    async fn note(&self, statement: &'static str, number: i32) {
        let noted = sqlx::query(statement).bind(number).execute(&self.pool).await;
        if let Err(error) = noted {
            tracing::warn!(%error, withdrawal = number, "what became of a request is not noted");
        }
    }
}

fn asset_id(column: i16) -> Option<AssetId> {
    u16::try_from(column).ok().map(AssetId)
}

#[derive(sqlx::FromRow)]
struct RequestRow {
    number: i32,
    at: DateTime<Utc>,
    asset_id: i16,
    units: i64,
    fee_units: i64,
    blockchain: Option<String>,
    address: Option<String>,
    client_id: Option<String>,
    is_debited: bool,
    is_confirmed: bool,
}

impl RequestRow {
    fn requested(self) -> Result<Requested, ApiError> {
        let number = self.number;
        let beyond = || ApiError::bug(format_args!("withdrawal {number} is out of range"));
        let units = |column| unsigned(column).map(Units).ok_or_else(beyond);
        let destination = self.blockchain.zip(self.address);
        let withdrawal = Withdrawal {
            number,
            at: self.at,
            asset: asset_id(self.asset_id).ok_or_else(beyond)?,
            units: units(self.units)?,
            fee: units(self.fee_units)?,
            destination: destination
                .map(|(blockchain, address)| Destination { blockchain, address }),
            client_id: self.client_id,
            is_confirmed: self.is_confirmed,
        };
        Ok(Requested { withdrawal, is_debited: self.is_debited || self.is_confirmed })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_account_s() {
        let of = |account, name| transfer_of(AccountId::new(account).unwrap(), name);
        assert_eq!(of(7, "a"), of(7, "a"));
        assert_ne!(of(7, "a"), of(8, "a"));
        assert_ne!(of(7, "a"), of(7, "b"));
        assert_ne!(of(7, "1\0a"), of(71, "a"));
    }
}
