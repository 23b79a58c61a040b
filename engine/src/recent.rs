//! What happened lately in each market, for fan-outs that have missed some of it: filled from
//! applied frames, and after a start from those that recovery replays.
//!
//! Memory of this process alone: neither digest nor snapshot knows of it.

use engine_core::replica::Applied;
use protocol::Frame;

use crate::recent_levels::RecentLevels;
use crate::recent_trades::RecentTrades;

#[derive(Clone, Debug, Default)]
pub struct Recent {
    pub trades: RecentTrades,
    pub levels: RecentLevels,
}

impl Recent {
    /// Takes note of a frame that was applied.
    pub fn frame(&mut self, frame: &Frame<'_>, applied: &Applied) {
        self.trades.frame(frame);
        self.levels.applied(applied);
    }
}
