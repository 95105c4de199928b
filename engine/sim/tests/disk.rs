//! What the simulated disk keeps and what it forgets: it must be as bad as real ones, or the suites show nothing.

#![expect(clippy::unwrap_used, reason = "tests fail where something fails")]

use std::io::ErrorKind;

use anabranch_log::{Access, Disk, DiskFile};
use anabranch_sim::{Fault, Lost, SimDisk};

/// A disk with a durable file of 4 sectors of zeros.
fn disk(seed: u64) -> SimDisk {
    let disk = SimDisk::new(seed);
    disk.create("a", 2048).unwrap().sync_data().unwrap();
    disk.sync_directory().unwrap();
    disk
}

#[test]
fn bytes_and_names_that_were_not_synced_are_lost() {
    let disk = disk(1);
    disk.open("a", Access::Write).unwrap().write_at(&[1; 2048], 0).unwrap();
    disk.create("b", 8).unwrap().sync_data().unwrap();
    disk.rename("a", "c").unwrap();
    disk.restart(Lost::Everything);
    assert_eq!(disk.list().unwrap(), ["a"]);
    assert_eq!(disk.read("a").unwrap(), vec![0; 2048]);
}

#[test]
fn what_was_synced_stays() {
    let disk = disk(1);
    let file = disk.open("a", Access::Write).unwrap();
    file.write_at(&[1; 2048], 0).unwrap();
    file.sync_data().unwrap();
    disk.rename("a", "c").unwrap();
    disk.sync_directory().unwrap();
    for lost in [Lost::AtRandom, Lost::Everything] {
        disk.restart(lost);
        assert_eq!((disk.list().unwrap(), disk.read("c").unwrap()), (vec!["c".to_owned()], vec![1; 2048]));
    }
}

#[test]
fn after_a_kill_everything_is_there_and_still_at_risk() {
    let disk = disk(1);
    disk.open("a", Access::Write).unwrap().write_at(&[1; 8], 0).unwrap();
    disk.restart(Lost::Nothing);
    assert_eq!(disk.read("a").unwrap()[..8], [1; 8]);
    disk.restart(Lost::Everything);
    assert_eq!(disk.read("a").unwrap()[..8], [0; 8]);
}

#[test]
fn a_crash_tears_writes_at_sectors_and_reorders_them() {
    let (mut later_without_earlier, mut torn) = (false, false);
    for seed in 0..64 {
        let disk = disk(seed);
        let file = disk.open("a", Access::Write).unwrap();
        file.write_at(&[1; 1024], 0).unwrap();
        file.write_at(&[2; 1024], 1024).unwrap();
        disk.restart(Lost::AtRandom);
        let bytes = disk.read("a").unwrap();
        let sectors: Vec<u8> = bytes.chunks(512).map(|sector| sector[0]).collect();
        assert!(
            bytes.chunks(512).all(|sector| sector.iter().all(|byte| *byte == sector[0])),
            "half a sector"
        );
        torn |= sectors[0] != sectors[1];
        later_without_earlier |= sectors[..2] == [0, 0] && sectors[2..] == [2, 2];
    }
    assert!(torn && later_without_earlier);
}

#[test]
fn a_failed_sync_leaves_what_no_later_one_makes_durable() {
    let disk = disk(1);
    let file = disk.open("a", Access::Write).unwrap();
    file.write_at(&[1; 8], 0).unwrap();
    disk.fail_at(disk.calls() + 1, Fault::Error(ErrorKind::Other));
    assert!(file.sync_data().is_err());
    file.write_at(&[2; 8], 512).unwrap();
    file.sync_data().unwrap();
    disk.restart(Lost::Everything);
    let bytes = disk.read("a").unwrap();
    assert_eq!((bytes[0], bytes[512]), (0, 2));
}

#[test]
fn the_same_seed_gives_the_same_crash_and_a_crashed_disk_does_nothing() {
    let run = |seed| {
        let disk = disk(seed);
        let file = disk.open("a", Access::Write).unwrap();
        disk.fail_at(disk.calls() + 1, Fault::Crash);
        assert!(file.write_at(&[3; 2048], 0).is_err());
        assert!(disk.list().is_err() && file.sync_data().is_err() && disk.has_crashed());
        disk.restart(Lost::AtRandom);
        assert!(file.write_at(&[3], 0).is_err(), "a file that was open before the crash");
        disk.read("a").unwrap()
    };
    assert_eq!(run(5), run(5));
    assert!((0..32).any(|seed| run(seed) != run(5)));
}
