//! A flow as the exchange's clients send it: a shard offers no reduce and no move, so each becomes
//! a cancel and a new order of the same id.

use orderflow::{Command, Flow, Kind, RefBook};

use crate::error::BenchError;
use crate::subject::{Extent, Workload};

/// The flow of that name in a shard's terms, with what the reference book says of it.
pub fn translated(name: &str, seed: u64) -> Result<Workload, BenchError> {
    let flow = orderflow::generate(name, seed);
    let flow = flow.ok_or_else(|| BenchError::NoSuchFlow(name.to_owned()))?;
    let mut book = RefBook::new();
    let mut extent = Extent { order_id_max: 0, resting_max: 0, trades: 0 };
    let (mut commands, mut prefill) = (Vec::with_capacity(flow.commands.len()), 0);
    for (at, command) in flow.commands.iter().enumerate() {
        if at == flow.prefill {
            prefill = commands.len();
        }
        for command in in_shard_terms(command, &book).into_iter().flatten() {
            book.apply(&command, &mut |_| extent.trades += 1);
            extent.order_id_max = extent.order_id_max.max(command.id);
            extent.resting_max = extent.resting_max.max(book.resting());
            commands.push(command);
        }
    }
    // Not the flow's own name: the published digests are those of other commands.
    let flow = Flow { name: format!("{name} for a shard"), seed, prefill, commands };
    Ok(Workload { flow, extent, digest: book.digest() })
}

fn in_shard_terms(command: &Command, book: &RefBook) -> [Option<Command>; 2] {
    let Command { kind, id, .. } = *command;
    let is_change = matches!(kind, Kind::Reduce | Kind::Move);
    if !is_change {
        return [Some(*command), None];
    }
    let cancel = Command { kind: Kind::Cancel, price: 0, qty: 0, ..*command };
    let Some(resting) = book.get(id) else { return [Some(cancel), None] };
    let (price, qty) = match kind {
        Kind::Reduce => (resting.price, resting.qty.saturating_sub(command.qty)),
        _ => (command.price, resting.qty),
    };
    let (side, account) = (resting.side, resting.account);
    let entered = Command { kind: Kind::New, side, account, id, price, qty };
    [Some(cancel), Some(entered).filter(|_| 0 < qty)]
}

#[cfg(test)]
mod tests {
    use orderflow::Side;

    use super::*;

    #[test]
    fn a_change_is_a_cancel_and_what_is_left_anew() {
        let mut book = RefBook::new();
        let new =
            Command { kind: Kind::New, side: Side::Sell, account: 3, id: 1, price: 9, qty: 10 };
        book.apply(&new, &mut |_| {});
        let kinds = |command: &Command| {
            in_shard_terms(command, &book).map(|it| it.map(|it| (it.kind, it.price, it.qty)))
        };
        let cancel = Some((Kind::Cancel, 0, 0));
        let reduce = Command { kind: Kind::Reduce, price: 0, qty: 4, ..new };
        assert_eq!(kinds(&reduce), [cancel, Some((Kind::New, 9, 6))]);
        assert_eq!(kinds(&Command { qty: 10, ..reduce }), [cancel, None]);
        let moved = Command { kind: Kind::Move, price: 7, ..new };
        assert_eq!(kinds(&moved), [cancel, Some((Kind::New, 7, 10))]);
        assert_eq!(kinds(&Command { id: 2, ..moved }), [cancel, None]);
        assert_eq!(kinds(&new), [Some((Kind::New, 9, 10)), None]);
    }
}
