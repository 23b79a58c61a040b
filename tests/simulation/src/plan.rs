//! What one seed makes of a run: how many take part, how much fits where, how often what fails.

use engine::egress::event_queues::Bounds;
use orderflow::rng::Rng;

#[derive(Clone, Debug)]
pub struct Plan {
    pub seed: u64,
    pub shards: usize,
    pub gateways: u32,
    /// Commands that clients send before the run comes to its end.
    pub commands: u64,
    /// A shard pauses before one of so many operations on ledger or sequence.
    pub pauses_one_in: u64,
    /// Commands that a gateway waits for at once.
    pub window: usize,
    pub read_max: usize,
    pub inbound_commands: usize,
    pub block_bytes_max: usize,
    pub segment_bytes: u64,
    pub snapshot_frames: u64,
    pub events: Bounds,
    /// Steps after which what has no answer is sent again.
    pub patience: u64,
    /// In so many of 10,000 steps, each.
    pub faults: FaultRates,
}

#[derive(Clone, Debug)]
pub struct FaultRates {
    pub power: u64,
    pub kill: u64,
    pub drain: u64,
    pub sync: u64,
    pub disk_full: u64,
    pub gateway: u64,
    pub fail_over: u64,
    pub flush: u64,
    pub away: u64,
    pub clock: u64,
    pub set_back: u64,
}

impl Plan {
    pub fn of(seed: u64) -> Plan {
        let mut rng = Rng::new(seed ^ 0x706C_616E);
        let mut pick = |values: &[u64]| values[rng.below(values.len() as u64) as usize];
        Plan {
            seed,
            shards: pick(&[1, 2, 2, 3, 3]) as usize,
            gateways: pick(&[1, 2, 3]) as u32,
            commands: pick(&[60, 120, 200, 320]),
            pauses_one_in: pick(&[2, 4, 8, 16]),
            window: pick(&[2, 8, 24]) as usize,
            read_max: pick(&[1, 4, 16]) as usize,
            inbound_commands: pick(&[2, 8, 32]) as usize,
            block_bytes_max: pick(&[1, 2000, 1 << 16]) as usize,
            segment_bytes: pick(&[4 << 10, 16 << 10, 64 << 10]),
            snapshot_frames: pick(&[10, 40, 120]),
            events: bounds(pick(&[4, 32, 100_000])),
            patience: pick(&[60, 300]),
            faults: FaultRates {
                power: pick(&[0, 10, 30]),
                kill: pick(&[0, 5, 15]),
                drain: pick(&[0, 0, 5]),
                sync: pick(&[0, 0, 5, 15]),
                disk_full: pick(&[0, 0, 5]),
                gateway: pick(&[0, 5, 15]),
                fail_over: pick(&[0, 5, 15]),
                flush: pick(&[0, 0, 3, 8]),
                away: pick(&[0, 5, 15]),
                clock: pick(&[0, 5, 15]),
                set_back: pick(&[0, 5]),
            },
        }
    }
}

/// In the middle it is memory that runs out first.
fn bounds(entries_max: u64) -> Bounds {
    let bytes_max = if entries_max == 32 { 8 << 10 } else { u64::MAX };
    Bounds { entries_max, bytes_max }
}
