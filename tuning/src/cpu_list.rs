//! Sets of cpus in the kernel's list notation: `0-3,8,10-11`.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

/// More cpus than any kernel is built for; a bound on what a list may name.
const CPU_MAX: u32 = 65_535;

/// A set of cpu numbers, in order. Shown and parsed in the kernel's list notation.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct CpuList(BTreeSet<u32>);

/// A text that is no list of cpus.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a list of cpus")]
pub struct NotACpuList;

impl CpuList {
    /// How many cpus are in it.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True if no cpu is in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// True if `cpu` is in it.
    pub fn contains(&self, cpu: u32) -> bool {
        self.0.contains(&cpu)
    }

    /// The lowest cpu.
    pub fn first(&self) -> Option<u32> {
        self.0.first().copied()
    }

    /// The cpus from the lowest up.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.0.iter().copied()
    }

    /// The cpus that are in both.
    pub fn and(&self, other: &CpuList) -> CpuList {
        CpuList(&self.0 & &other.0)
    }

    /// The cpus that are in either.
    pub fn or(&self, other: &CpuList) -> CpuList {
        CpuList(&self.0 | &other.0)
    }

    /// The cpus that are in this and not in the other.
    pub fn without(&self, other: &CpuList) -> CpuList {
        CpuList(&self.0 - &other.0)
    }
}

impl FromIterator<u32> for CpuList {
    fn from_iter<I: IntoIterator<Item = u32>>(cpus: I) -> Self {
        CpuList(cpus.into_iter().collect())
    }
}

impl FromStr for CpuList {
    type Err = NotACpuList;

    /// An empty text is the empty list, and so is `(null)`, which some kernels write for
    /// `nohz_full`.
    fn from_str(text: &str) -> Result<Self, NotACpuList> {
        let text = text.trim();
        if text.is_empty() || text == "(null)" {
            return Ok(CpuList::default());
        }
        let number = |part: &str| {
            let digits = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
            let cpu = if digits { part.parse::<u32>().ok() } else { None };
            cpu.filter(|cpu| *cpu <= CPU_MAX).ok_or(NotACpuList)
        };
        let mut cpus = BTreeSet::new();
        for part in text.split(',') {
            let (low, high) = match part.split_once('-') {
                Some((low, high)) => (number(low)?, number(high)?),
                None => (number(part)?, number(part)?),
            };
            if high < low {
                return Err(NotACpuList);
            }
            cpus.extend(low..=high);
        }
        Ok(CpuList(cpus))
    }
}

impl fmt::Display for CpuList {
    /// The empty list is shown as `none`.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut runs: Vec<(u32, u32)> = Vec::new();
        for cpu in self.iter() {
            match runs.last_mut() {
                Some((_, high)) if *high + 1 == cpu => *high = cpu,
                _ => runs.push((cpu, cpu)),
            }
        }
        let run = |(low, high): (u32, u32)| match high - low {
            0 => format!("{low}"),
            _ => format!("{low}-{high}"),
        };
        let text: Vec<String> = runs.into_iter().map(run).collect();
        out.pad(if text.is_empty() { "none".to_owned() } else { text.join(",") }.as_str())
    }
}

impl Serialize for CpuList {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(text: &str) -> CpuList {
        text.parse().unwrap()
    }

    #[test]
    fn the_kernels_notation_is_read() {
        assert_eq!(list("0-3,8,10-11\n").iter().collect::<Vec<_>>(), [0, 1, 2, 3, 8, 10, 11]);
        assert!(list("\n").is_empty());
        assert!(list("(null)\n").is_empty());
    }

    #[test]
    fn a_list_is_shown_as_the_kernel_would() {
        assert_eq!(list("3,1,0,2,8,11,10").to_string(), "0-3,8,10-11");
        assert_eq!(list("").to_string(), "none");
    }

    #[test]
    fn other_texts_are_refused() {
        for text in ["a", "1-", "-1", "3-1", "1,,2", "+1", "0-99999999", "1 2", "4294967296"] {
            assert_eq!(text.parse::<CpuList>(), Err(NotACpuList), "{text}");
        }
    }

    #[test]
    fn set_operations_keep_the_order() {
        let (some, more) = (list("0-3"), list("2-5"));
        assert_eq!(some.and(&more), list("2-3"));
        assert_eq!(some.or(&more), list("0-5"));
        assert_eq!(some.without(&more), list("0-1"));
    }
}
