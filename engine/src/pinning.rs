//! Ties a shard's thread to a core of its own.

use core_affinity::CoreId;

use crate::error::EngineError;

/// Pins the calling thread. Errors: the core does not exist, or this process may not run there.
pub fn pin_this_thread(core: usize) -> Result<(), EngineError> {
    if core_affinity::set_for_current(CoreId { id: core }) {
        Ok(())
    } else {
        Err(EngineError::Pin { core, cores: usable_cores() })
    }
}

/// Cores this process may run on.
pub fn usable_cores() -> usize {
    core_affinity::get_core_ids().map_or(1, |cores| cores.len())
}
