//! What the process's control groups leave it: which cpus, and how much time on them.
//!
//! Version 2 (one tree) and version 1 (a tree a controller) are both read; a hybrid machine has
//! both. A group's own bound never exceeds its parent's for cpus, but may for time, so the walk
//! goes up to the root and takes the tightest.

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::cpu_list::CpuList;
use crate::error::TuningError;
use crate::topology::read_optional;

/// The bounds the control groups set; `None` where there is no bound.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Limits {
    pub cpus: Option<CpuList>,
    /// Cpu time a period of wall time, in thousandths of one cpu: 1500 is one and a half cpus.
    pub quota_milli_cpus: Option<u64>,
}

/// Reads the limits of the process itself from the machine under `root`.
pub fn read(root: &Path) -> Result<Limits, TuningError> {
    let mut limits = Limits::default();
    let Some(membership) = read_optional(&root.join("proc/self/cgroup"))? else {
        return Ok(limits);
    };
    let mount = root.join("sys/fs/cgroup");
    for line in membership.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(group)) = (fields.next(), fields.next()) else {
            continue;
        };
        if controllers.is_empty() {
            for folder in up_from(&mount, group) {
                take_cpus(&mut limits, folder.join("cpuset.cpus.effective"))?;
                take_quota_v2(&mut limits, folder.join("cpu.max"))?;
            }
        }
        for folder in up_from(&mount.join(controllers), group) {
            if controllers.split(',').any(|name| name == "cpuset") {
                take_cpus(&mut limits, folder.join("cpuset.effective_cpus"))?;
            }
            if controllers.split(',').any(|name| name == "cpu") {
                take_quota_v1(&mut limits, &folder)?;
            }
        }
    }
    Ok(limits)
}

/// The folder of `group` and of all groups above it, up to the mount. A group outside what this
/// process can see (`/../x`) has only the mount.
fn up_from(mount: &Path, group: &str) -> Vec<PathBuf> {
    let group = Path::new(group.trim_start_matches('/'));
    let plain = group.components().all(|part| matches!(part, std::path::Component::Normal(_)));
    let group = if plain { group } else { Path::new("") };
    group.ancestors().map(|part| mount.join(part)).collect()
}

fn take_cpus(limits: &mut Limits, path: PathBuf) -> Result<(), TuningError> {
    let Some(text) = read_optional(&path)? else { return Ok(()) };
    let malformed = |_| TuningError::Malformed {
        path: path.clone(),
        text: text.trim().to_owned(),
        expected: "a list of cpus",
    };
    let cpus: CpuList = text.parse().map_err(malformed)?;
    if !cpus.is_empty() {
        limits.cpus = Some(match limits.cpus.take() {
            Some(bound) => bound.and(&cpus),
            None => cpus,
        });
    }
    Ok(())
}

/// `cpu.max` is `QUOTA PERIOD` in µs, with `max` for no bound.
fn take_quota_v2(limits: &mut Limits, path: PathBuf) -> Result<(), TuningError> {
    let Some(text) = read_optional(&path)? else { return Ok(()) };
    match text.split_whitespace().collect::<Vec<_>>()[..] {
        ["max", _] => Ok(()),
        [quota, period] => take_quota(limits, path, quota, period),
        _ => Err(not_a_quota(path, &text)),
    }
}

/// Two files in µs; a quota of -1 is no bound.
fn take_quota_v1(limits: &mut Limits, folder: &Path) -> Result<(), TuningError> {
    let quota = read_optional(&folder.join("cpu.cfs_quota_us"))?;
    let period = read_optional(&folder.join("cpu.cfs_period_us"))?;
    match (quota.as_deref().map(str::trim), period.as_deref().map(str::trim)) {
        (None | Some("-1"), _) | (_, None) => Ok(()),
        (Some(quota), Some(period)) => {
            take_quota(limits, folder.join("cpu.cfs_quota_us"), quota, period)
        }
    }
}

fn take_quota(
    limits: &mut Limits,
    path: PathBuf,
    quota: &str,
    period: &str,
) -> Result<(), TuningError> {
    let parsed = quota.parse::<u64>().ok().zip(period.parse::<u64>().ok());
    let milli = parsed.and_then(|(quota, period)| quota.checked_mul(1000)?.checked_div(period));
    let milli = milli.ok_or_else(|| not_a_quota(path, &format!("{quota} {period}")))?;
    limits.quota_milli_cpus = Some(limits.quota_milli_cpus.map_or(milli, |old| old.min(milli)));
    Ok(())
}

fn not_a_quota(path: PathBuf, text: &str) -> TuningError {
    TuningError::Malformed { path, text: text.trim().to_owned(), expected: "a cpu quota in µs" }
}
