//! `bench websockets`' figures as a table for a person and as JSON for a machine.

use std::fmt;

use serde::Serialize;

use super::{Settings, WayFigures};
use crate::machine::{Load, Machine};
use crate::report::table;

/// All that `bench websockets` says.
#[derive(Debug, Serialize)]
pub struct Report<'a> {
    pub machine: &'a Machine,
    pub load: Load,
    pub settings: Settings,
    pub ways: &'a [WayFigures],
}

const HEADINGS: [&str; 6] =
    ["way", "write ns, 1 together", "4 together", "16 together", "read ns", "bytes a socket"];

impl fmt::Display for Report<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Settings { sockets, rounds, messages, runs } = self.settings;
        writeln!(out, "{}\n{}", self.machine, self.load)?;
        writeln!(
            out,
            "ns of the server thread's cpu time: a frame to {sockets} sockets, {rounds} writes \
             each; a message of {messages} from one client; medians of {runs} runs\n"
        )?;
        let mut rows = vec![HEADINGS.map(str::to_owned)];
        rows.extend(self.ways.iter().map(row));
        table(out, &rows)
    }
}

fn row(of: &WayFigures) -> [String; 6] {
    let write = |at: usize| {
        let figure = of.write_ns.get(at).map(|(_, ns)| *ns);
        figure.map_or_else(String::new, |ns| format!("{ns:.0}"))
    };
    [
        of.way.to_owned(),
        write(0),
        write(1),
        write(2),
        format!("{:.0}", of.read_ns),
        format!("{:.0}", of.bytes_per_socket),
    ]
}
