//! The journal beside its floors, on the disk where the build lies.
//!
//! Writing: records of 100 bytes, appended in groups, written and synced, beside a bare `pwrite` and `fdatasync` of as
//! many bytes into a file that is as long and as full of zeros. Both take turns, so that the disk's moods meet both. They
//! are few, and less than a segment: disks of virtual machines slow down who writes much, and then that is all one sees.
//! Reading: 10^7 records of 60 bytes, every checksum looked at, beside a loop that reads the same files in pieces of 1 MiB
//! and makes one checksum of each record's bytes.

#![allow(clippy::print_stdout, reason = "a benchmark tells its figures")]
#![allow(clippy::disallowed_methods, reason = "a benchmark reads the clock and makes files")]
#![allow(clippy::unwrap_used, reason = "a benchmark ends where it fails")]

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use anabranch::DirectoryDisk;
use anabranch_benches::median;
use anabranch_log::{Config, Kind, LogNumber, Position, Reader, Record, Writer};
use hdrhistogram::Histogram;

/// What a record of the journal has beside its body.
const HEAD_BYTES: usize = 56;

const READ_RECORDS: u64 = 10_000_000;
const READ_BODY: usize = 60;
const READ_ROUNDS: usize = 5;

type Disk = Arc<DirectoryDisk>;

fn main() {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("journal-{}", std::process::id()));
    println!("100-byte records, microseconds of one group\n");
    println!("                    p50      p99    p99.9      max   events/s");
    for (group, rounds) in [(1, 1500), (64, 500), (1024, 200)] {
        write(&directory, group, rounds);
    }
    read(&directory);
    fs::remove_dir_all(&directory).unwrap();
}

fn open(path: &Path) -> Writer<Disk> {
    let disk = Arc::new(DirectoryDisk::lock(path).unwrap());
    let config = Config::new([7; 16]);
    Reader::open(disk, config, LogNumber(1)).unwrap().into_writer().unwrap()
}

fn append(writer: &mut Writer<Disk>, body: &[u8]) {
    writer.append(&Record { kind: Kind::Step, position: Position::default(), body }).unwrap();
}

fn write(directory: &Path, group: usize, rounds: u32) {
    let path = directory.join(format!("write-{group}"));
    let mut writer = open(&path);
    let bare = Bare::new(&path.join("bare"));
    let bytes = vec![1; group * (HEAD_BYTES + 104)];
    let (mut ours, mut floor) = (histogram(), histogram());
    for round in 0..rounds {
        let began = Instant::now();
        for _ in 0..group {
            append(&mut writer, &[1; 100]);
        }
        writer.write().unwrap();
        writer.sync().unwrap();
        ours.record(began.elapsed().as_nanos() as u64).unwrap();

        let began = Instant::now();
        bare.0.write_all_at(&bytes, 4096 + u64::from(round) * bytes.len() as u64).unwrap();
        bare.0.sync_data().unwrap();
        floor.record(began.elapsed().as_nanos() as u64).unwrap();
    }
    tell(&format!("journal, {group}"), &ours, group);
    tell(&format!("bare, {group}"), &floor, group);
    let ratio = |quantile| ours.value_at_quantile(quantile) as f64 / floor.value_at_quantile(quantile) as f64;
    println!("journal / bare    {:5.3}    {:5.3}    {:5.3}\n", ratio(0.5), ratio(0.99), ratio(0.999));
    drop(writer);
    fs::remove_dir_all(path).unwrap();
}

/// A file of zeros that is written from its begin.
struct Bare(File);

impl Bare {
    fn new(path: &Path) -> Self {
        let file = OpenOptions::new().write(true).create_new(true).open(path).unwrap();
        let zeros = vec![0; 1 << 20];
        (0..64).for_each(|mebibyte| file.write_all_at(&zeros, mebibyte << 20).unwrap());
        file.sync_all().unwrap();
        Bare(file)
    }
}

fn histogram() -> Histogram<u64> {
    Histogram::new(3).unwrap()
}

fn tell(name: &str, histogram: &Histogram<u64>, group: usize) {
    let micros = |nanos: u64| nanos as f64 / 1e3;
    let [p50, p99, p999] = [0.5, 0.99, 0.999].map(|quantile| micros(histogram.value_at_quantile(quantile)));
    let rate = group as f64 * 1e9 / histogram.mean();
    println!("{name:<15} {p50:8.1} {p99:8.1} {p999:8.1} {:8.1} {rate:10.0}", micros(histogram.max()));
}

fn read(directory: &Path) {
    let path = directory.join("read");
    let mut writer = open(&path);
    for number in 0..READ_RECORDS {
        append(&mut writer, &[number as u8; READ_BODY]);
    }
    writer.write().unwrap();
    writer.sync().unwrap();
    drop(writer);
    let (mut ours, mut floor, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..READ_ROUNDS {
        let (journal, plain) = (read_journal(&path), read_plain(&path));
        ours.push(journal);
        floor.push(plain);
        ratios.push(journal / plain);
    }
    let record = (HEAD_BYTES + READ_BODY.next_multiple_of(8)) as f64;
    let told = |rate: f64| format!("{:6.1} M records/s, {:5.2} GB/s", rate / 1e6, rate * record / 1e9);
    println!("reading 10^7 records of 60 bytes, medians of {READ_ROUNDS} rounds\n");
    println!("journal           {}", told(median(ours)));
    println!("read and checksum {}", told(median(floor)));
    println!("journal / bare    {:5.3}", median(ratios));
}

/// Records a second.
fn read_journal(path: &Path) -> f64 {
    let began = Instant::now();
    let disk = Arc::new(DirectoryDisk::read_only(path).unwrap());
    let mut reader = Reader::open(disk, Config::new([7; 16]), LogNumber(1)).unwrap();
    let mut count = 0;
    while let Some(entry) = reader.next().unwrap() {
        count += u64::from(entry.record.body.len() == READ_BODY);
    }
    assert_eq!(count, READ_RECORDS);
    READ_RECORDS as f64 / began.elapsed().as_secs_f64()
}

/// Records a second, of a loop that knows where they begin.
fn read_plain(path: &Path) -> f64 {
    let began = Instant::now();
    let record = HEAD_BYTES + READ_BODY.next_multiple_of(8);
    let mut names: Vec<PathBuf> = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.retain(|name| name.extension().is_some_and(|extension| extension == "log"));
    let (mut buffer, mut checksum, mut count) = (vec![0; (1 << 20) / record * record], 0, 0);
    for name in names {
        let (file, mut at) = (File::open(name).unwrap(), 4096);
        loop {
            let read = file.read_at(&mut buffer, at).unwrap();
            at += read as u64;
            for bytes in buffer[..read].chunks_exact(record) {
                checksum ^= crc32c::crc32c(bytes);
                count += 1;
            }
            if read < buffer.len() {
                break;
            }
        }
    }
    std::hint::black_box(checksum);
    f64::from(count) / began.elapsed().as_secs_f64()
}
