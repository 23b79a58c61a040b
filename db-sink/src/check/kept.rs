//! Placements that retention moved out of `order_events`: each must be as the journal has it.
//! Whether one lacks cannot be told from here: only those of orders that were open then are kept.

use super::report::{Kind, Report, TableReport};
use super::rows::{cells, put_different, put_row};
use super::snapshot::{Cursor, Snapshot};
use super::tables::{Cells, Key, ORDER_EVENTS, Table, each_row};
use super::{CheckError, Checker};
use crate::error::SinkError;
use crate::tables::Rows;

/// Of the shape of `order_events`.
pub const TABLE: &str = "kept_order_events";

#[derive(Debug)]
pub struct Kept(Cursor<Cells>);

impl Kept {
    pub async fn open(snapshot: &mut Snapshot, begins_after: u64) -> Result<Kept, SinkError> {
        let layout = &Table::all()[ORDER_EVENTS];
        let condition = match begins_after {
            0 => "true".to_owned(),
            sequence => format!("{sequence} < sequence"),
        };
        Ok(Kept(snapshot.cursor(&layout.select_all(TABLE, &condition), cells).await?))
    }
}

fn report(report: &mut Report) -> &mut TableReport {
    let place = report.tables.len() - 2;
    &mut report.tables[place]
}

impl Checker {
    /// Compares those that are kept of what a page's frames placed.
    pub(super) async fn compare_kept(
        &mut self,
        market: i64,
        rows: &Rows,
    ) -> Result<(), CheckError> {
        let layout = &self.tables[ORDER_EVENTS];
        let Some(row) = self.snapshot.peek(&mut self.kept.0).await? else { return Ok(()) };
        if market < layout.market_of(row) {
            return Ok(());
        }
        let mut placed = Vec::new();
        each_row(rows, ORDER_EVENTS, &mut |cells| {
            placed.push((layout.key(cells), cells.clone()));
        });
        for (key, expected) in placed {
            self.kept_until(market, key).await?;
            let layout = &self.tables[ORDER_EVENTS];
            let Some(row) = self.snapshot.peek(&mut self.kept.0).await? else { return Ok(()) };
            if (layout.market_of(row), layout.key(row)) != (market, key) {
                continue;
            }
            let Some(row) = self.kept.0.take() else { return Ok(()) };
            let stream = self.name_of(market);
            let (layout, report) = (&self.tables[ORDER_EVENTS], report(&mut self.report));
            report.expected += 1;
            report.found += 1;
            if row != expected {
                put_different(report, self.differences_max, layout, &stream, (&expected, &row));
            }
        }
        Ok(())
    }

    /// Those before, of which the journal has nothing.
    pub(super) async fn kept_until(&mut self, market: i64, key: Key) -> Result<(), CheckError> {
        while let Some(row) = self.snapshot.peek(&mut self.kept.0).await? {
            let layout = &self.tables[ORDER_EVENTS];
            let of = layout.market_of(row);
            if (market, key) <= (of, layout.key(row)) {
                break;
            }
            let Some(row) = self.kept.0.take() else { break };
            let stream = self.name_of(of);
            let (layout, report) = (&self.tables[ORDER_EVENTS], report(&mut self.report));
            report.found += 1;
            put_row(report, self.differences_max, layout, &stream, (Kind::TooMany, &row));
        }
        Ok(())
    }
}
