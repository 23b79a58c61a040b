//! Rows added up by hour: what the journal comes to beside what the database says.

use super::tables::{Digest, TABLES};
use super::{CheckError, Checker};

/// What the journal has of one hour of a stream.
#[derive(Clone, Debug, Default)]
pub struct Hour {
    /// The frame before its first one.
    pub after: u64,
    pub last: u64,
    pub digests: [Digest; TABLES],
}

impl Checker {
    /// Compares an hour that is complete, in each table. Hours of a stream come in order.
    pub(super) async fn settle_hour(
        &mut self,
        place: usize,
        hour: i64,
        expected: &Hour,
    ) -> Result<(), CheckError> {
        let market = i64::from(self.streams.at(place).market_id().0);
        for (table, digest) in expected.digests.iter().enumerate() {
            self.extra_groups(table, (market, hour)).await?;
            let cursor = &mut self.groups[table];
            let group = self.snapshot.peek(cursor).await?;
            let found = group.filter(|group| (group.market, group.hour) == (market, hour));
            let found = found.map(|group| group.digest);
            if found.is_some() {
                cursor.take();
            }
            let found = found.unwrap_or_default();
            let report = &mut self.report.tables[table];
            report.expected += digest.rows.unsigned_abs();
            report.found += found.rows.unsigned_abs();
            if found != *digest {
                let frames = Some((place, expected.after, expected.last));
                self.look_into(table, market, hour, frames).await?;
            }
        }
        Ok(())
    }

    /// Hours before `until`, as (market, hour), of which the journal has nothing.
    pub(super) async fn extra_groups(
        &mut self,
        table: usize,
        until: (i64, i64),
    ) -> Result<(), CheckError> {
        loop {
            let cursor = &mut self.groups[table];
            let group = self.snapshot.peek(cursor).await?.copied();
            let group = group.filter(|group| (group.market, group.hour) < until);
            let Some(group) = group else { return Ok(()) };
            cursor.take();
            self.report.tables[table].found += group.digest.rows.unsigned_abs();
            self.look_into(table, group.market, group.hour, None).await?;
        }
    }
}
