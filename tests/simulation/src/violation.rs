//! What must never happen, and did.

use std::fmt::{self, Debug, Display};

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Violation(pub String);

impl Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Says what was being done when an error came that has no right to.
pub trait Doing<T> {
    fn doing(self, what: &str) -> Result<T, Violation>;
}

impl<T, E: Debug> Doing<T> for Result<T, E> {
    fn doing(self, what: &str) -> Result<T, Violation> {
        self.map_err(|error| Violation(format!("could not {what}: {error:?}")))
    }
}
