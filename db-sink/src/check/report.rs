//! What a check has found, for people and for machines.

use std::io::{self, Write};

use serde::Serialize;

#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    pub streams: Vec<StreamReport>,
    /// Positions that are not those of the journal.
    pub positions: Vec<String>,
    pub tables: Vec<TableReport>,
    /// What cannot be told, and why; no difference.
    pub unknown: Vec<String>,
}

#[derive(Clone, Debug, Serialize)]
pub struct StreamReport {
    pub stream: String,
    /// Where the database stands.
    pub position: u64,
    /// Of the journal, compared.
    pub frames: u64,
}

#[derive(Clone, Debug, Default, Serialize)]
pub struct TableReport {
    pub table: String,
    /// Of the journal.
    pub expected: u64,
    pub found: u64,
    pub missing: u64,
    pub too_many: u64,
    pub different: u64,
    /// Parts of the table that differ and were not looked into, because enough was listed.
    pub hours_not_looked_into: u64,
    pub differences: Vec<Difference>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    Missing,
    TooMany,
    Different,
}

#[derive(Clone, Debug, Serialize)]
pub struct Difference {
    pub kind: Kind,
    pub stream: String,
    /// As it should be, or, of one too many, as it is.
    pub row: Vec<Field>,
    pub columns: Vec<ColumnDifference>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Field {
    pub column: &'static str,
    pub value: String,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct ColumnDifference {
    pub column: &'static str,
    pub expected: String,
    pub found: String,
}

impl TableReport {
    pub fn of(table: &str) -> TableReport {
        TableReport { table: table.to_owned(), ..TableReport::default() }
    }

    /// Counts it; lists it unless there are as many of its kind.
    pub fn put(&mut self, kind: Kind, listed_max: usize, difference: impl FnOnce() -> Difference) {
        let count = match kind {
            Kind::Missing => &mut self.missing,
            Kind::TooMany => &mut self.too_many,
            Kind::Different => &mut self.different,
        };
        *count += 1;
        if *count <= listed_max as u64 {
            self.differences.push(difference());
        }
    }

    /// Whether as much is listed of one kind as may be.
    pub fn is_full(&self, listed_max: usize) -> bool {
        [self.missing, self.too_many, self.different]
            .iter()
            .any(|count| listed_max as u64 <= *count)
    }

    fn is_equal(&self) -> bool {
        [self.missing, self.too_many, self.different, self.hours_not_looked_into] == [0; 4]
    }

    fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let TableReport { table, expected, found, missing, too_many, different, .. } = self;
        if self.is_equal() {
            return writeln!(out, "{table}: {found} rows, equal");
        }
        writeln!(
            out,
            "{table}: {expected} rows expected, {found} found: \
             {missing} missing, {too_many} too many, {different} different"
        )?;
        for difference in &self.differences {
            difference.write(out)?;
        }
        let listed = self.differences.len() as u64;
        let more = (missing + too_many + different).saturating_sub(listed);
        if more != 0 {
            writeln!(out, "  and {more} more")?;
        }
        if self.hours_not_looked_into != 0 {
            let hours = self.hours_not_looked_into;
            writeln!(out, "  and whatever differs in {hours} more hours of streams")?;
        }
        Ok(())
    }
}

impl Difference {
    fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let kind = match self.kind {
            Kind::Missing => "missing",
            Kind::TooMany => "too many",
            Kind::Different => "different",
        };
        write!(out, "  {kind} ({}):", self.stream)?;
        for Field { column, value } in &self.row {
            write!(out, " {column}={value}")?;
        }
        for ColumnDifference { column, expected, found } in &self.columns {
            write!(out, "; {column}: expected {expected}, found {found}")?;
        }
        writeln!(out)
    }
}

#[derive(Serialize)]
struct Json<'a> {
    equal: bool,
    #[serde(flatten)]
    report: &'a Report,
}

impl Report {
    pub fn is_equal(&self) -> bool {
        self.positions.is_empty() && self.tables.iter().all(TableReport::is_equal)
    }

    pub fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        for StreamReport { stream, position, frames } in &self.streams {
            writeln!(out, "{stream}: {frames} frames compared, the database is at {position}")?;
        }
        for line in &self.unknown {
            writeln!(out, "not compared: {line}")?;
        }
        for line in &self.positions {
            writeln!(out, "position: {line}")?;
        }
        for table in &self.tables {
            table.write(out)?;
        }
        let verdict = if self.is_equal() { "equal" } else { "NOT equal" };
        writeln!(out, "database and journal are {verdict}")
    }

    pub fn write_json(&self, out: &mut dyn Write) -> io::Result<()> {
        serde_json::to_writer_pretty(&mut *out, &Json { equal: self.is_equal(), report: self })?;
        writeln!(out)
    }
}
