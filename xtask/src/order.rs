//! `cargo xtask order`: one signed order, as an example of the API and to try the exchange.

use clap::Args;
use serde_json::{Map, Value};

use crate::artifacts;
use crate::error::{Result, XtaskError};
use crate::http::expect_json;
use crate::places::Places;
use crate::record::Record;

#[derive(Args, Clone, Debug)]
pub struct OrderArgs {
    /// Label of one of the stack's accounts.
    #[arg(long, default_value = "alice")]
    account: String,
    /// As in SOL_USDC.
    #[arg(long)]
    symbol: String,
    #[arg(long, value_parser = ["Bid", "Ask"])]
    side: String,
    /// Left out, it is a market order.
    #[arg(long)]
    price: Option<String>,
    /// In the base asset.
    #[arg(long, required_unless_present = "quote_quantity")]
    quantity: Option<String>,
    /// Market orders only: the most quote to spend or to receive.
    #[arg(long, conflicts_with_all = ["price", "quantity"])]
    quote_quantity: Option<String>,
    #[arg(long, value_parser = ["GTC", "IOC", "FOK"])]
    time_in_force: Option<String>,
    #[arg(long)]
    post_only: bool,
    #[arg(long)]
    client_id: Option<u32>,
}

pub fn order(args: &OrderArgs) -> Result<()> {
    let places = Places::at(&artifacts::repository_root().join("var"));
    let record = Record::load(&places)?
        .ok_or_else(|| XtaskError::Unable("nothing runs; `cargo xtask up` starts it".to_owned()))?;
    let account = record.accounts.iter().find(|account| account.label == args.account);
    let account = account.ok_or_else(|| {
        let known: Vec<&str> = record.accounts.iter().map(|one| one.label.as_str()).collect();
        XtaskError::UnknownAccount { label: args.account.clone(), known: known.join(", ") }
    })?;
    let client = account.client(&record.rest_url)?;
    let url = format!("{}/api/v1/order", record.rest_url);
    println!("{:#}", expect_json(&url, client.place(&body(args))?)?);
    Ok(())
}

fn body(args: &OrderArgs) -> Value {
    let kind = if args.price.is_some() { "Limit" } else { "Market" };
    let text = |value: &Option<String>| value.clone().map(Value::String);
    let members = [
        ("symbol", Some(Value::String(args.symbol.clone()))),
        ("side", Some(Value::String(args.side.clone()))),
        ("orderType", Some(Value::String(kind.to_owned()))),
        ("price", text(&args.price)),
        ("quantity", text(&args.quantity)),
        ("quoteQuantity", text(&args.quote_quantity)),
        ("timeInForce", text(&args.time_in_force)),
        ("postOnly", args.post_only.then_some(Value::Bool(true))),
        ("clientId", args.client_id.map(Value::from)),
    ];
    let given = members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Value::Object(given.collect::<Map<String, Value>>())
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use serde_json::json;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        order: OrderArgs,
    }

    fn parsed(line: &str) -> Result<Value, clap::Error> {
        let words = std::iter::once("order").chain(line.split(' '));
        Line::try_parse_from(words).map(|line| body(&line.order))
    }

    #[test]
    fn only_what_was_said_is_sent() {
        let limit = parsed("--symbol SOL_USDC --side Bid --price 20 --quantity 1").unwrap();
        let wanted = json!({"symbol": "SOL_USDC", "side": "Bid", "orderType": "Limit",
            "price": "20", "quantity": "1"});
        assert_eq!(limit, wanted);
        let market = parsed("--symbol SOL_USDC --side Ask --quote-quantity 5 --client-id 7");
        let wanted = json!({"symbol": "SOL_USDC", "side": "Ask", "orderType": "Market",
            "quoteQuantity": "5", "clientId": 7});
        assert_eq!(market.unwrap(), wanted);
    }

    #[test]
    fn an_order_without_a_quantity_is_refused_here() {
        assert!(parsed("--symbol SOL_USDC --side Bid --price 20").is_err());
        assert!(parsed("--symbol SOL_USDC --side Buy --price 20 --quantity 1").is_err());
    }
}
