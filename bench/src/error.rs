//! What can go wrong in a bench.

/// Why there are no figures.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    #[error("could not read the thread's cpu clock")]
    Clock(#[source] nix::Error),
    #[error("could not make a histogram")]
    Histogram(#[source] hdrhistogram::CreationError),
    #[error("no runs were asked for")]
    NoRuns,
    #[error("there is no flow named {0}")]
    NoSuchFlow(String),
    #[error("could not read the machine")]
    Machine(#[source] tuning::error::TuningError),
    #[error("the engine has no such command: {0:?}")]
    Command(orderflow::Command),
    #[error("the flow has more orders than memory can address")]
    TooLarge,
    #[error("{subject} has a wrong outcome on {flow}: expected {expected}, found {found}")]
    Digest { subject: &'static str, flow: String, expected: String, found: String },
}
