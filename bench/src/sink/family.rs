//! What a process and its children have worked.

use std::fs;
use std::path::Path;
use std::time::Duration;

use nix::unistd::{SysconfVar, sysconf};

use crate::error::BenchError;

/// User and system time of a process, of its children, and of those that ended and it knows of.
pub fn cpu_time_of_family(parent: i32) -> Result<Duration, BenchError> {
    let processes = Path::new("/proc");
    let mut ticks = 0;
    for entry in fs::read_dir(processes).map_err(BenchError::io(processes))?.flatten() {
        let Ok(pid) = entry.file_name().to_string_lossy().parse::<i32>() else { continue };
        // One that ends meanwhile counts with its parent at the next look.
        let Ok(text) = fs::read_to_string(entry.path().join("stat")) else { continue };
        ticks += ticks_of(&text, pid, parent);
    }
    let per_second = sysconf(SysconfVar::CLK_TCK).map_err(BenchError::Clock)?.unwrap_or(100);
    Ok(Duration::from_secs_f64(ticks as f64 / per_second as f64))
}

/// Behind the name, which may hold anything: state, parent, …, user, system, and the children's of
/// both as fields 14 to 17 of all.
fn ticks_of(stat: &str, pid: i32, parent: i32) -> u64 {
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
    let fields: Vec<u64> =
        fields.split_ascii_whitespace().map(|field| field.parse().unwrap_or(0)).collect();
    let sum = |count: usize| fields.iter().skip(11).take(count).sum();
    match fields.get(1) {
        _ if pid == parent => sum(4),
        Some(of) if i32::try_from(*of).is_ok_and(|of| of == parent) => sum(2),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_family_is_the_parent_with_its_dead_and_the_living_children() {
        let stat = "7 (a) b) S 5 0 0 0 0 0 0 0 0 0 100 20 3 1 0 0";
        assert_eq!(ticks_of(stat, 7, 7), 124);
        assert_eq!(ticks_of(stat, 7, 5), 120);
        assert_eq!(ticks_of(stat, 7, 6), 0);
    }
}
