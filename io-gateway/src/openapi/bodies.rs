//! What the bodies of operations may hold. As with [`queries`](super::queries), nothing is read by
//! these types. Members that are not named here are ignored, though a signature covers them; `null`
//! is the same as leaving a member out.

use utoipa::ToSchema;

use super::values::{
    Address, AddressInput, Amount, Blockchain, Email, FalseFlag, KeyLabel, Label, LeverageOne,
    ListedAsset, NewPassword, Password, PublicKeyText, TransferIdText, WithdrawalClientIdInput,
};

/// Margin is not offered: only its being off can be asked for.
#[derive(Debug, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(max_properties = 64)]
pub struct UpdateAccount {
    pub leverage_limit: Option<LeverageOne>,
    pub auto_borrow_settlements: Option<FalseFlag>,
    pub auto_lend: Option<FalseFlag>,
    pub auto_repay_borrows: Option<FalseFlag>,
}

#[derive(Debug, ToSchema)]
#[schema(max_properties = 64)]
pub struct CreateAccount {
    pub label: Option<Label>,
}

#[derive(Debug, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(max_properties = 64)]
pub struct AddKey {
    pub public_key: PublicKeyText,
    pub label: Option<Label>,
}

#[derive(Debug, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(max_properties = 64)]
pub struct Transfer {
    pub asset: ListedAsset,
    pub quantity: Amount,
    pub transfer_id: TransferIdText,
}

#[derive(Debug, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(max_properties = 64, example = json!({"symbol": "USDC", "blockchain": "Solana",
    "address": "9xQeWvG816bUx9EPjHmaT23yvVM2ZWbrrpZb9PusVFin", "quantity": "25"}))]
pub struct RequestWithdrawal {
    pub symbol: ListedAsset,
    /// One that the asset is on.
    pub blockchain: Blockchain,
    pub address: Address,
    pub quantity: Amount,
    /// With it the withdrawal happens once.
    pub client_id: Option<WithdrawalClientIdInput>,
    pub auto_borrow: Option<bool>,
    pub auto_lend_redeem: Option<bool>,
}

#[derive(Debug, ToSchema)]
#[schema(max_properties = 64, example = json!({"email": "ann@example.org",
    "password": "correct horse battery"}))]
pub struct SignUp {
    pub email: Email,
    pub password: NewPassword,
}

#[derive(Debug, ToSchema)]
#[schema(max_properties = 64, example = json!({"email": "ann@example.org",
    "password": "correct horse battery"}))]
pub struct SignIn {
    pub email: Email,
    pub password: Password,
}

#[derive(Debug, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(max_properties = 64, example = json!({"label": "my bot", "readOnly": true}))]
pub struct AddOwnKey {
    pub label: KeyLabel,
    /// The server makes the pair if left out.
    pub public_key: Option<PublicKeyText>,
    /// May change nothing; false if left out.
    pub read_only: Option<bool>,
    /// May sign from these alone; from any, if left out or empty.
    #[schema(max_items = 20)]
    pub allowed_addresses: Option<Vec<AddressInput>>,
}

#[derive(Debug, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(max_properties = 64)]
pub struct RevokeKey {
    pub public_key: PublicKeyText,
}

#[derive(Debug, ToSchema)]
#[schema(max_properties = 64, example = json!({"symbol": "USDC"}))]
pub struct AskFaucet {
    /// One that the faucet gives.
    pub symbol: ListedAsset,
}
