//! All that a node and `anabranch log check` do with a directory of files that anybody may have made. The bounded run of
//! the same check is `tests/hostile.rs`; a crash found here becomes a test there.
//!
//! The first two bytes say where the segment ends and the snapshot begins, the third what is mended: a checksum that is
//! right lets the fuzzer behind it. `cargo +nightly fuzz run files fuzz/corpus/files tests/format-1`

#![no_main]

use anabranch_log::{Config, MemoryDisk, check, recover};
use crc32c::{crc32c, crc32c_append};
use libfuzzer_sys::fuzz_target;

/// Where the first record begins.
const START: usize = 4096;

fuzz_target!(|bytes: &[u8]| {
    let [low, high, mended, files @ ..] = bytes else { return };
    let split = usize::from(u16::from_le_bytes([*low, *high])).min(files.len());
    let (segment, snapshot) = files.split_at(split);
    let disk = MemoryDisk::default();
    // The zeros before the first record are not worth the fuzzer's time.
    let (header, records) = segment.split_at(segment.len().min(64));
    let mut segment = header.to_vec();
    segment.resize(START, 0);
    segment.extend_from_slice(records);
    let mut snapshot = snapshot.to_vec();
    if mended & 1 != 0 {
        let length = segment.len() as u64;
        mend_header(&mut segment, b"ANABLOG\n", 1, Some(length));
        mend_head(&mut segment, START, 56);
    }
    if mended & 2 != 0 {
        mend_header(&mut snapshot, b"ANABSNP\n", 2, None);
        mend_head(&mut snapshot, 64, 32);
    }
    disk.write("journal-00000000000000000001.log", segment);
    disk.write("snapshot-00000000000000000002.snap", snapshot);
    drop(check(&disk));
    let Ok(mut recovery) = recover(disk.clone(), Config::new([0; 16])) else { return };
    while let Some(Ok(Some(_))) = recovery.snapshot.as_mut().map(|snapshot| snapshot.next()) {}
    while let Ok(Some(_)) = recovery.journal.next() {}
    if let Ok(writer) = recovery.journal.into_writer() {
        assert_eq!(writer.next().before(), writer.safe());
        let again = recover(disk, Config::new([0; 16]));
        assert!(again.is_ok(), "what was opened must open again: {:?}", again.err());
    }
});

/// Makes the header one of identity 0 that is right.
fn mend_header(bytes: &mut [u8], magic: &[u8; 8], number: u64, length: Option<u64>) {
    if bytes.len() < 64 {
        return;
    }
    bytes[..64].fill(0);
    bytes[..8].copy_from_slice(magic);
    bytes[8] = 1;
    bytes[32..40].copy_from_slice(&number.to_le_bytes());
    if let Some(length) = length {
        bytes[40] = 1;
        bytes[48..56].copy_from_slice(&length.to_le_bytes());
    }
    let checksum = crc32c(&bytes[..60]);
    bytes[60..64].copy_from_slice(&checksum.to_le_bytes());
}

/// Makes the checksum right of the head that begins at a place.
fn mend_head(bytes: &mut [u8], at: usize, length: usize) {
    let Some(head) = bytes.get_mut(at..at + length) else { return };
    let checksum = crc32c_append(crc32c(&[0; 16]), &head[4..]);
    head[..4].copy_from_slice(&checksum.to_le_bytes());
}
