//! What can go wrong while setting up, starting and stopping, in words for the person at the
//! terminal.

use std::io;

#[derive(Debug, thiserror::Error)]
pub enum XtaskError {
    #[error("could not {doing}")]
    Io {
        doing: String,
        #[source]
        cause: io::Error,
    },
    #[error("could not read {what} as JSON")]
    Json {
        what: String,
        #[source]
        cause: serde_json::Error,
    },
    #[error("`{command}` {outcome}")]
    Command { command: String, outcome: String },
    #[error("{name} {reason}\n--- last lines of {log}\n{tail}\n---")]
    NotReady { name: String, reason: String, log: String, tail: String },
    #[error("no answer from {url}")]
    NoAnswer {
        url: String,
        #[source]
        cause: Box<ureq::Error>,
    },
    #[error("{url} answered {status}: {body}")]
    Refused { url: String, status: u16, body: String },
    #[error("no process `{name}` in this stack; there are: {known}")]
    UnknownProcess { name: String, known: String },
    #[error("no account `{label}`; there are: {known}")]
    UnknownAccount { label: String, known: String },
    #[error("the key of {what} is not 32 bytes in base64")]
    Key { what: String },
    #[error("stopped by a signal")]
    Interrupted,
    /// What was asked cannot be done as things stand; the text says what would help.
    #[error("{0}")]
    Unable(String),
}

pub type Result<T, E = XtaskError> = std::result::Result<T, E>;

/// Names what was being done when an input or output failed: `fs::write(…).doing("write x")?`.
pub trait Doing<T> {
    fn doing(self, what: impl Into<String>) -> Result<T>;
}

impl<T> Doing<T> for io::Result<T> {
    fn doing(self, what: impl Into<String>) -> Result<T> {
        self.map_err(|cause| XtaskError::Io { doing: what.into(), cause })
    }
}

impl XtaskError {
    /// The error and what caused it, one line each, as `main` prints it.
    pub fn in_full(&self) -> String {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(deeper) = cause {
            text.push_str("\n  because: ");
            text.push_str(&deeper.to_string());
            cause = deeper.source();
        }
        text
    }
}
