//! What processes have worked: user and system time, from their `stat`.

use std::fs;
use std::path::Path;
use std::time::Duration;

use nix::unistd::{SysconfVar, sysconf};

use crate::error::BenchError;

/// Of one process.
pub fn cpu_time_of(pid: i32) -> Result<Duration, BenchError> {
    let path = format!("/proc/{pid}/stat");
    let text = fs::read_to_string(&path).map_err(BenchError::io(Path::new(&path)))?;
    duration(worked(&fields(&text), Whose::Own))
}

/// Of a process, of its children, and of those that ended and it knows of.
pub fn cpu_time_of_family(parent: i32) -> Result<Duration, BenchError> {
    let processes = Path::new("/proc");
    let mut ticks = 0;
    for entry in fs::read_dir(processes).map_err(BenchError::io(processes))?.flatten() {
        let Ok(pid) = entry.file_name().to_string_lossy().parse::<i32>() else { continue };
        // One that ends meanwhile counts with its parent at the next look.
        let Ok(text) = fs::read_to_string(entry.path().join("stat")) else { continue };
        ticks += ticks_of(&text, pid, parent);
    }
    duration(ticks)
}

/// Whose time counts.
#[derive(Clone, Copy)]
enum Whose {
    Own,
    WithEndedChildren,
}

fn ticks_of(stat: &str, pid: i32, parent: i32) -> u64 {
    let fields = fields(stat);
    match fields.get(1) {
        _ if pid == parent => worked(&fields, Whose::WithEndedChildren),
        Some(of) if i32::try_from(*of).is_ok_and(|of| of == parent) => worked(&fields, Whose::Own),
        _ => 0,
    }
}

/// Behind the name, which may hold anything: state, parent, and so on; 0 for what is no number.
fn fields(stat: &str) -> Vec<u64> {
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
    fields.split_ascii_whitespace().map(|field| field.parse().unwrap_or(0)).collect()
}

/// User and system are fields 14 and 15 of all, the ended children's 16 and 17.
fn worked(fields: &[u64], whose: Whose) -> u64 {
    let count = match whose {
        Whose::Own => 2,
        Whose::WithEndedChildren => 4,
    };
    fields.iter().skip(11).take(count).sum()
}

fn duration(ticks: u64) -> Result<Duration, BenchError> {
    let per_second = sysconf(SysconfVar::CLK_TCK).map_err(BenchError::Clock)?.unwrap_or(100);
    Ok(Duration::from_secs_f64(ticks as f64 / per_second as f64))
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
