//! That every unit of every asset can be traced.

use crate::ids::AssetId;

/// Where all units of one asset are, in units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Conservation {
    pub asset: AssetId,
    pub deposited: u128,
    pub withdrawn: u128,
    pub available: u128,
    /// What balances say is locked.
    pub locked: u128,
    pub fees: u128,
    /// What the resting orders hold, worked out from the orders: the same as `locked`.
    pub held: u128,
}

impl Conservation {
    /// What is there and should not be; negative where units are missing.
    pub fn difference(&self) -> i128 {
        let present = self.available + self.locked + self.fees + self.withdrawn;
        present.cast_signed().wrapping_sub(self.deposited.cast_signed())
    }

    pub fn holds(&self) -> bool {
        self.difference() == 0 && self.locked == self.held
    }
}
