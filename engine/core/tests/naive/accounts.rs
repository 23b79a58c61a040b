//! Accounts, deposits and withdrawals of the naive exchange.

use protocol::*;

use super::NaiveExchange;

impl NaiveExchange {
    pub(super) fn create_account(&mut self) -> Result<(Outcome, i128), Refusal> {
        if self.accounts == self.limits.accounts_max {
            return Err(Refusal::TooManyAccounts);
        }
        self.accounts += 1;
        Ok((Outcome::AccountCreated { account: AccountId::new(self.accounts).unwrap() }, 0))
    }

    pub(super) fn transfer(
        &mut self,
        command: &Command,
        transfer: Transfer,
        sign: i128,
        sequence: Sequence,
    ) -> Result<(Outcome, i128), Refusal> {
        if let Some((first, action)) = self.transfers.get(&transfer.id.0) {
            return match *action == command.action {
                true => Ok((Outcome::Repeated { first: *first }, 0)),
                false => Err(Refusal::TransferConflict),
            };
        }
        if transfer.account.get() > self.accounts {
            return Err(Refusal::UnknownAccount);
        }
        let supply = *self.supply.get(&transfer.asset).ok_or(Refusal::UnknownAsset)?;
        let units = i128::from(transfer.units.0);
        if units == 0 || units > i128::from(Units::SUPPLY_MAX.0) {
            return Err(Refusal::AmountOutOfRange);
        }
        if supply + sign * units > i128::from(Units::SUPPLY_MAX.0) {
            return Err(Refusal::SupplyExceeded);
        }
        if sign < 0 {
            self.hold(transfer.account, transfer.asset, units)?;
        } else {
            *self.balance(transfer.account, transfer.asset) += units;
        }
        self.supply.insert(transfer.asset, supply + sign * units);
        self.transfers.insert(transfer.id.0, (sequence, command.action));
        Ok((Outcome::Transferred, if sign < 0 { units } else { 0 }))
    }
}
