//! What may go: pure.

use protocol::Sequence;
use serde::Deserialize;

/// Snapshots that are kept: the newest, and two to fall back on.
pub const KEPT: usize = 3;

/// What becomes of old segments of the journal.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum JournalRetention {
    /// They go when neither a kept snapshot nor the database needs them.
    Needed,
    /// All stay.
    Forever,
}

/// The oldest of the snapshots that are kept, of those known to be good, by rising sequence. `None`
/// while there are too few to let anything go.
pub fn oldest_kept(good: &[Sequence]) -> Option<Sequence> {
    good.len().checked_sub(KEPT).map(|at| good[at])
}

/// The first frame that must stay in the journal; `None`: all stay. `committed` is the frame up to
/// which the database has everything, 0 where that is not known.
pub fn first_needed(
    retention: JournalRetention,
    good: &[Sequence],
    committed: Sequence,
) -> Option<Sequence> {
    match retention {
        JournalRetention::Forever => None,
        JournalRetention::Needed => {
            let last_unneeded = oldest_kept(good)?.min(committed);
            (0 < last_unneeded.0).then(|| Sequence(last_unneeded.0 + 1))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn needed(good: &[u64], committed: u64) -> Option<u64> {
        let good: Vec<_> = good.iter().copied().map(Sequence).collect();
        let first = first_needed(JournalRetention::Needed, &good, Sequence(committed));
        first.map(|first| first.0)
    }

    #[test]
    fn the_journal_stays_behind_the_oldest_kept_snapshot() {
        assert_eq!(needed(&[10, 20, 30], 100), Some(11));
        assert_eq!(needed(&[5, 10, 20, 30], 100), Some(11));
    }

    #[test]
    fn the_journal_stays_behind_what_the_database_has() {
        assert_eq!(needed(&[10, 20, 30], 4), Some(5));
        assert_eq!(needed(&[10, 20, 30], 10), Some(11));
    }

    #[test]
    fn nothing_goes_while_the_database_says_nothing_or_snapshots_are_few() {
        assert_eq!(needed(&[10, 20, 30], 0), None);
        assert_eq!(needed(&[10, 20], 100), None);
        assert_eq!(needed(&[], 100), None);
    }

    #[test]
    fn nothing_goes_when_it_is_kept_for_ever() {
        let good = [10, 20, 30].map(Sequence);
        assert_eq!(first_needed(JournalRetention::Forever, &good, Sequence(100)), None);
    }
}
