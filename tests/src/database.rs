//! The exchange's database as an auditor reads it: with psql, row by row, as text.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use xtask::tools;

use crate::eventually::eventually;

/// Between the columns of a row, and in none of them.
const SEPARATOR: &str = "\u{1f}";

#[derive(Clone, Debug)]
pub struct Database {
    psql: PathBuf,
    url: String,
}

impl Database {
    pub fn at(url: &str) -> Database {
        let postgres = tools::postgres(None).expect("PostgreSQL is installed");
        Database { psql: postgres.program("psql"), url: url.to_owned() }
    }

    pub fn rows(&self, statement: &str) -> Vec<Vec<String>> {
        let mut command = Command::new(&self.psql);
        command.args(["-X", "-q", "-A", "-t", "-F", SEPARATOR, "-v", "ON_ERROR_STOP=1"]);
        command.args(["-c", statement, &self.url]).stdin(Stdio::null());
        command.env("PGCONNECT_TIMEOUT", "5").env("PGTZ", "UTC");
        command.env("PGOPTIONS", "-c statement_timeout=20s");
        let done = command.output().expect("psql runs");
        let complaint = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "{statement}\n{complaint}");
        let printed = String::from_utf8(done.stdout).unwrap();
        let columns = |line: &str| line.split(SEPARATOR).map(str::to_owned).collect();
        printed.lines().map(columns).collect()
    }

    /// Of a statement that answers one row of one column.
    pub fn value(&self, statement: &str) -> String {
        let rows = self.rows(statement);
        assert_eq!((rows.len(), rows[0].len()), (1, 1), "{statement}");
        rows[0][0].clone()
    }

    pub fn number(&self, statement: &str) -> i128 {
        number(&self.value(statement))
    }

    /// Waits until the statement answers exactly this: the sink writes within moments.
    pub fn eventually(&self, statement: &str, wanted: &[&[&str]]) {
        eventually(statement, || {
            let rows = self.rows(statement);
            if rows == wanted { Ok(()) } else { Err(rows) }
        });
    }
}

/// A whole number of a column; an empty sum is none.
pub fn number(column: &str) -> i128 {
    if column.is_empty() { 0 } else { column.parse().expect(column) }
}
