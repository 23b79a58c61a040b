//! `orderflow stats`: what a flow is made of, in words and percent.

use orderflow::{Flow, RefBook, Side};

/// Prints the shares of the command kinds and the extent of the book.
pub fn print(flow: &Flow) {
    let mut book = RefBook::new();
    let mut kinds = [0u64; 6];
    let mut trading = 0u64;
    let (mut low, mut high) = (u64::MAX, 0);
    let mut most = 0;
    for (i, command) in flow.commands.iter().enumerate() {
        let mut traded = false;
        book.apply(command, &mut |_| traded = true);
        most = most.max(book.resting());
        if i >= flow.prefill {
            kinds[command.kind as usize] += 1;
            trading += u64::from(traded);
        }
        let bests = [Side::Buy, Side::Sell].map(|s| book.best(s));
        if let [Some(bid), Some(ask)] = bests {
            low = low.min((bid + ask) / 2);
            high = high.max((bid + ask) / 2);
        }
    }
    let total: u64 = kinds.iter().sum();
    println!("{} (seed {}): {total} measured commands", flow.name, flow.seed);
    let names = ["new", "ioc", "market", "cancel", "reduce", "move"];
    for (name, count) in names.iter().zip(kinds) {
        println!("  {name:7} {:6.2}%", count as f64 * 100.0 / total as f64);
    }
    println!("  commands that trade {:.2}%", trading as f64 * 100.0 / total as f64);
    println!("  most resting orders {most}");
    if low <= high {
        println!("  middle of the market from {low} to {high}");
    }
}
