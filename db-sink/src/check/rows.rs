//! Rows one by one, of an hour in which something differs: as the journal's frames make them, read
//! again, beside those of the database. Both come by sequence, so that neither is held as a whole.

use std::collections::VecDeque;

use protocol::Frame;
use protocol::refill::Content;
use sqlx::Row;
use sqlx::postgres::PgRow;

use super::report::{ColumnDifference, Difference, Field, Kind, TableReport};
use super::snapshot::Cursor;
use super::tables::{Cells, HOUR_S, Key, Table, each_row};
use super::{CheckError, Checker, condition};
use crate::streams::Stream;
use crate::tables::Rows;

pub(super) fn cells(row: &PgRow) -> Result<Cells, sqlx::Error> {
    (0..row.len()).map(|place| row.try_get(place)).collect()
}

/// Frames of an hour: the stream's place, the frame before them and the last of them.
type Frames = (usize, u64, u64);

impl Checker {
    pub(super) async fn look_into(
        &mut self,
        table: usize,
        market: i64,
        hour: i64,
        frames: Option<Frames>,
    ) -> Result<(), CheckError> {
        let report = &mut self.report.tables[table];
        if report.is_full(self.differences_max) {
            report.hours_not_looked_into += 1;
            return Ok(());
        }
        let condition = condition(&self.tables[table], self.begins_after, self.rows_from_s);
        let select = self.tables[table].select_rows(&condition, market, hour);
        let mut found = self.snapshot.cursor(&select, cells).await?;
        if let Some((place, after, last)) = frames {
            let mut after = after;
            while after < last {
                let (rows, up_to) = self.read_again(place, after, last).await?;
                after = up_to;
                let expected = self.of_hour(&rows, table, hour);
                self.compare(table, market, expected, &mut found).await?;
            }
        }
        self.too_many_until(table, market, (i64::MAX, i64::MAX), &mut found).await?;
        self.snapshot.close(found).await?;
        Ok(())
    }

    /// Rows of the frames behind `after`, none behind `last`, and how far they go.
    async fn read_again(
        &mut self,
        place: usize,
        after: u64,
        last: u64,
    ) -> Result<(Rows, u64), CheckError> {
        let page = self.again.get(place, after).await?;
        let stream = self.streams.at(place);
        let up_to = match page.content {
            Content::UpTo(up_to) => up_to.0,
            Content::BeginsAfter(sequence) => return Err(CheckError::Cut(sequence.0)),
            Content::UnknownMarket => return Err(CheckError::Unlisted(stream.name.clone())),
        };
        let mut rows = Rows::default();
        for frame in Frame::each_of(page.frames()) {
            let frame =
                frame.map_err(|cause| CheckError::Page { stream: stream.name.clone(), cause })?;
            if frame.header.sequence.0 <= last {
                append(&mut rows, &frame, stream)?;
            }
        }
        Ok((rows, up_to))
    }

    /// Those that are compared.
    fn of_hour(&self, rows: &Rows, table: usize, hour: i64) -> VecDeque<(Key, Cells)> {
        let layout = &self.tables[table];
        let mut of_hour = Vec::new();
        each_row(rows, table, &mut |cells| {
            if layout.time_s(cells).div_euclid(HOUR_S) == hour {
                of_hour.push((layout.key(cells), cells.clone()));
            }
        });
        // Within a frame they come as they were made.
        of_hour.sort_by_key(|(key, _)| *key);
        of_hour.into()
    }

    async fn compare(
        &mut self,
        table: usize,
        market: i64,
        expected: VecDeque<(Key, Cells)>,
        found: &mut Cursor<Cells>,
    ) -> Result<(), CheckError> {
        for (key, expected) in expected {
            self.too_many_until(table, market, key, found).await?;
            let mut same_key = Vec::new();
            while let Some(row) = self.snapshot.peek(found).await? {
                if self.tables[table].key(row) != key {
                    break;
                }
                same_key.extend(found.take());
            }
            let stream = self.name_of(market);
            let (layout, report) = (&self.tables[table], &mut self.report.tables[table]);
            // One that is as it should be, else any.
            let like = same_key.iter().position(|row| *row == expected);
            let own = (!same_key.is_empty()).then(|| same_key.remove(like.unwrap_or(0)));
            match own {
                None => {
                    let missing = (Kind::Missing, &expected);
                    put_row(report, self.differences_max, layout, &stream, missing);
                }
                Some(own) if own != expected => {
                    put_different(report, self.differences_max, layout, &stream, (&expected, &own));
                }
                Some(_) => (),
            }
            for other in same_key {
                put_row(report, self.differences_max, layout, &stream, (Kind::TooMany, &other));
            }
        }
        Ok(())
    }

    async fn too_many_until(
        &mut self,
        table: usize,
        market: i64,
        until: Key,
        found: &mut Cursor<Cells>,
    ) -> Result<(), CheckError> {
        while let Some(row) = self.snapshot.peek(found).await? {
            if until <= self.tables[table].key(row) {
                break;
            }
            let Some(row) = found.take() else { break };
            let stream = self.name_of(market);
            let (layout, report) = (&self.tables[table], &mut self.report.tables[table]);
            put_row(report, self.differences_max, layout, &stream, (Kind::TooMany, &row));
        }
        Ok(())
    }
}

pub(super) fn append(
    rows: &mut Rows,
    frame: &Frame<'_>,
    stream: &Stream,
) -> Result<(), CheckError> {
    rows.append(frame, stream.market.as_ref()).map_err(|cause| CheckError::Rows {
        stream: stream.name.clone(),
        sequence: frame.header.sequence.0,
        cause,
    })
}

fn fields(layout: &Table, cells: &Cells) -> Vec<Field> {
    let field = |(cell, value): (&super::tables::Cell, &Option<i64>)| {
        value.map(|_| Field { column: cell.name, value: cell.text(*value) })
    };
    layout.cells.iter().zip(cells).filter_map(field).collect()
}

/// One that is missing or too many.
pub(super) fn put_row(
    report: &mut TableReport,
    listed_max: usize,
    layout: &Table,
    stream: &str,
    (kind, row): (Kind, &Cells),
) {
    report.put(kind, listed_max, || Difference {
        kind,
        stream: stream.to_owned(),
        row: fields(layout, row),
        columns: Vec::new(),
    });
}

pub(super) fn put_different(
    report: &mut TableReport,
    listed_max: usize,
    layout: &Table,
    stream: &str,
    (expected, found): (&Cells, &Cells),
) {
    report.put(Kind::Different, listed_max, || {
        let cells = layout.cells.iter().zip(expected.iter().zip(found));
        let different = cells.filter(|(_, (expected, found))| expected != found);
        let columns = different.map(|(cell, (expected, found))| ColumnDifference {
            column: cell.name,
            expected: cell.text(*expected),
            found: cell.text(*found),
        });
        Difference {
            kind: Kind::Different,
            stream: stream.to_owned(),
            row: fields(layout, expected),
            columns: columns.collect(),
        }
    });
}
