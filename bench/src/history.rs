//! A year of one market in the database, and how long the gateway takes to tell of it.
//!
//! ```text
//! year (SQL) ─▶ a private exchange's database
//! questions (signed) ─▶ rest::load ─▶ the gateway ─▶ the database ─▶ its log ─▶ plans
//! ```
//!
//! Invariant: every answer is checked to have as many rows as the year was made with. The plans are
//! those of the gateway's own statements, told by the server that runs them (`auto_explain`).

pub mod year;
pub mod questions;
pub mod plans;
pub mod report;

use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use serde::Serialize;
use xtask::client::now_ms;
use xtask::interrupt;

use crate::error::BenchError;
use crate::place::{FileSystem, Place};
use crate::recorder::Percentiles;
use crate::rest::exchange::Exchange;
use crate::rest::load::{self, Loop};
use crate::rest::requests::Requests;
use plans::{Explained, Explainer};
use questions::{Accounts, Question};
use year::Year;

#[derive(Clone, Debug)]
pub struct Settings {
    /// Where the exchange keeps its data; beside the build when not given.
    pub dir: Option<PathBuf>,
    /// Of the market; another has a fifth of them.
    pub trades: u64,
    pub seed: u64,
    /// Of each question, one after the other over one connection.
    pub requests: u64,
    /// Where the whole plans go.
    pub plans: Option<PathBuf>,
}

#[derive(Clone, Debug, Serialize)]
pub struct HistoryFigures {
    pub file_system: FileSystem,
    /// Until the year was in the database, with indexes and vacuumed.
    pub filled_seconds: f64,
    pub tables: Vec<year::TableFigures>,
    pub questions: Vec<QuestionFigures>,
}

#[derive(Clone, Debug, Serialize)]
pub struct QuestionFigures {
    pub name: String,
    pub rows: usize,
    /// The first time it was asked.
    pub first_ns: u64,
    pub latency_ns: Percentiles,
    pub statements: Vec<Explained>,
}

const TRADES_STEP: u64 = 400;

/// Fills a database, asks; `said` hears how far it is.
pub fn run(settings: &Settings, mut said: impl FnMut(&str)) -> Result<HistoryFigures, BenchError> {
    interrupt::watch().map_err(BenchError::Exchange)?;
    let place = Place::make(settings.dir.as_deref(), "history", false)?;
    let file_system = place.file_system()?;
    let exchange = Exchange::start(place.path(), 0, 0)?;
    let accounts = Accounts::open(&exchange)?;
    let end_s = now_ms() / 1000;
    let Settings { trades, seed, .. } = *settings;
    // Whole bursts, and as many of each who trades rarely.
    let trades = trades.next_multiple_of(TRADES_STEP);
    let year = Year { trades, seed, end_s, accounts: accounts.ids() };
    let began = Instant::now();
    let tables = year.fill(exchange.database_url(), &mut said)?;
    let filled_seconds = began.elapsed().as_secs_f64();
    let questions = questions::all(&year, &accounts);
    let mut figures = Vec::with_capacity(questions.len());
    for question in &questions {
        let of = measure(&exchange, question, settings.requests)?;
        said(&format!("{}: {:.2} ms", of.name, of.latency_ns.p50 as f64 / 1e6));
        figures.push(of);
    }
    let explainer = Explainer::turn_on(exchange.database_url())?;
    let mut whole = String::new();
    for (question, of) in questions.iter().zip(&mut figures) {
        of.statements = explainer.explain(&exchange, &question.request())?;
        for statement in &of.statements {
            whole.push_str(&format!("{}\n{}\n{}\n\n", of.name, statement.sql, statement.plan));
        }
    }
    if let Some(path) = &settings.plans {
        fs::write(path, whole).map_err(BenchError::io(path))?;
    }
    drop(exchange);
    place.empty()?;
    Ok(HistoryFigures { file_system, filled_seconds, tables, questions: figures })
}

fn measure(
    exchange: &Exchange,
    question: &Question<'_>,
    requests: u64,
) -> Result<QuestionFigures, BenchError> {
    let ask = |count: u64| -> Result<Percentiles, BenchError> {
        let bytes = (0..count).map(|_| question.request()).collect();
        let requests = Requests::of_questions(bytes);
        let measured = load::run(exchange.address(), &requests, 1, Loop::Closed)?;
        measured.expect_all(&requests)?;
        Ok(measured.latency.percentiles())
    };
    let first_ns = ask(1)?.max;
    let rows = question.ask(exchange.address())?;
    if let Some(expected) = question.rows
        && rows != expected
    {
        let name = &question.name;
        return Err(BenchError::Answer(format!("{name}: {rows} rows instead of {expected}")));
    }
    let (name, latency_ns) = (question.name.clone(), ask(requests)?);
    Ok(QuestionFigures { name, rows, first_ns, latency_ns, statements: Vec::new() })
}
