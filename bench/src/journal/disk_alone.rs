//! The disk without the journal: what one write with its sync takes, which no group commit can be
//! faster than.

use std::path::Path;
use std::time::Instant;

use engine::disk::{Disk, RealDisk};
use serde::Serialize;

use crate::clock::nanoseconds;
use crate::error::BenchError;
use crate::recorder::{Percentiles, Recorder};

const SIZES: [usize; 2] = [4 << 10, 64 << 10];
const WRITES: u64 = 200;

/// A write into reserved space and `fdatasync`, by its size.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct DiskFigures {
    pub sync_4k_ns: Percentiles,
    pub sync_64k_ns: Percentiles,
}

pub fn measure(folder: &Path) -> Result<DiskFigures, BenchError> {
    let path = folder.join("disk-alone");
    let measure = |size: usize| {
        let reserved = WRITES * size as u64;
        let mut file = RealDisk.create(&path, reserved)?;
        file.sync_all()?;
        let content = vec![0xA5; size];
        let mut spent = Vec::new();
        for number in 0..WRITES {
            let began = Instant::now();
            file.write_at(number * size as u64, &[&content])?;
            file.sync_data()?;
            spent.push(nanoseconds(began.elapsed()));
        }
        RealDisk.remove(&path)?;
        Ok(spent)
    };
    let mut figures = Vec::new();
    for size in SIZES {
        let mut recorder = Recorder::new(0)?;
        let spent = measure(size).map_err(BenchError::io(&path))?;
        spent.into_iter().for_each(|spent| recorder.record(spent));
        figures.push(recorder.percentiles());
    }
    Ok(DiskFigures { sync_4k_ns: figures[0], sync_64k_ns: figures[1] })
}
