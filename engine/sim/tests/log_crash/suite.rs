//! The suite: crashes at every call, then bytes that go bad, each run followed by the next life of the journal.

use anabranch_log::{Config, Error, Kind, LogNumber, Planted, Position, Reader, Record};
use anabranch_sim::{Chance, Fault, Lost, SimDisk};

use crate::model::{Failed, Model};

/// Steps of a workload.
const STEPS: u32 = 40;

/// Workloads; `ANABRANCH_CRASH_SEEDS` names another number, for a long run.
const SEEDS: u64 = 3;

/// Crashes tried in the second life of each journal.
const SECOND_CRASHES: u64 = 2;

/// Runs everything; how many crashes there were.
///
/// # Errors
/// What the journal did wrong, with the seed and the call.
pub(crate) fn suite(planted: Planted) -> Result<u64, String> {
    let mut crashes = 0;
    let seeds = std::env::var("ANABRANCH_CRASH_SEEDS").ok().and_then(|seeds| seeds.parse().ok());
    for seed in 0..seeds.unwrap_or(SEEDS) {
        crashes += crash_everywhere(seed, planted)?;
        flip_bits(seed, planted)?;
    }
    bring_back_old_bytes(planted)?;
    Ok(crashes)
}

fn crash_everywhere(seed: u64, planted: Planted) -> Result<u64, String> {
    let mut crashes = 0;
    for lost in [Lost::Everything, Lost::Nothing, Lost::AtRandom] {
        for call in 1.. {
            let place = format!("seed {seed}, crash at call {call}, lost {lost:?}");
            let said = |failed| tell(&place, failed);
            let disk = SimDisk::new(seed ^ call << 8);
            disk.fail_at(call, Fault::Crash);
            let mut model = Model::default();
            live(&mut model, &disk, seed, planted).map_err(said)?;
            if !disk.has_crashed() {
                break;
            }
            disk.restart(lost);
            crashes += 1;
            for second in 0..SECOND_CRASHES {
                crashes += second_life(&model, &disk, seed ^ (second << 32) ^ call, planted)
                    .map_err(|failed| tell(&format!("{place}, second life {second}"), failed))?;
            }
            newest_snapshot_goes_bad(&model, &disk, planted).map_err(said)?;
        }
    }
    Ok(crashes)
}

/// A life of the journal, to the end of its work or of the machine.
fn live(model: &mut Model, disk: &SimDisk, seed: u64, planted: Planted) -> Result<(), Failed> {
    let mut chance = Chance::new(seed);
    let lived = model
        .reopen(disk, planted)
        .and_then(|mut writer| model.work(&mut writer, disk, &mut chance, STEPS).map_err(Failed::Refused));
    match lived {
        Err(Failed::Refused(_)) if disk.has_crashed() => Ok(()),
        other => other,
    }
}

/// Recovers, goes on, crashes again, recovers again.
fn second_life(model: &Model, disk: &SimDisk, seed: u64, planted: Planted) -> Result<u64, Failed> {
    let disk = disk.fork(seed);
    let mut model = model.clone();
    let mut chance = Chance::new(seed);
    disk.fail_at(disk.calls() + 1 + chance.below(40), Fault::Crash);
    live(&mut model, &disk, seed, planted)?;
    let lost = [Lost::Everything, Lost::AtRandom][chance.below(2) as usize];
    disk.restart(lost);
    live(&mut model, &disk, seed + 1, planted)?;
    let before = model.safe;
    model.reopen(&disk, planted)?;
    assert!(model.safe >= before);
    Ok(1)
}

/// With the newest snapshot damaged the one before it, or the whole journal, gives the same.
fn newest_snapshot_goes_bad(model: &Model, disk: &SimDisk, planted: Planted) -> Result<(), Failed> {
    let disk = disk.fork(1);
    let Some(newest) = names(&disk).into_iter().rfind(|name| name.ends_with(".snap")) else { return Ok(()) };
    let bytes = disk.read(&newest).unwrap_or_default();
    let at = bytes.len() / 2;
    disk.damage(&newest, at, &[bytes[at] ^ 4]);
    match model.recover(&disk, planted) {
        Ok(_) => Ok(()),
        Err(failed) => {
            Err(Failed::Violation(format!("with the newest snapshot damaged: {}", tell(&newest, failed))))
        }
    }
}

/// One bit of a whole journal flips: it is refused, or nothing that was safe is missing but, at the most, of the last
/// group that was synced, and nothing else came of it.
fn flip_bits(seed: u64, planted: Planted) -> Result<(), String> {
    let disk = SimDisk::new(seed);
    let mut model = Model::default();
    live(&mut model, &disk, seed, planted).map_err(|failed| tell(&format!("seed {seed}"), failed))?;
    disk.restart(Lost::Everything);
    let mut chance = Chance::new(seed);
    let segments: Vec<String> = names(&disk).into_iter().filter(|name| name.ends_with(".log")).collect();
    for _ in 0..60 {
        let disk = disk.fork(1);
        let name = &segments[chance.below(segments.len() as u64) as usize];
        let bytes = disk.read(name).unwrap_or_default();
        let used = bytes.iter().rposition(|byte| *byte != 0).unwrap_or(0) as u64;
        let at = if chance.coin() {
            4096 + chance.below(used.saturating_sub(4096) + 40)
        } else {
            chance.below(64)
        };
        let at = at as usize % bytes.len();
        disk.damage(name, at, &[bytes[at] ^ (1 << chance.below(8))]);
        let mut lenient = model.clone();
        lenient.safe = model.safe_before;
        match lenient.recover(&disk, planted) {
            Ok(_) | Err(Failed::Refused(Error::Damaged(_))) => {}
            Err(failed) => {
                return Err(tell(&format!("seed {seed}, a bit of byte {at} of {name} flipped"), failed));
            }
        }
    }
    Ok(())
}

/// Bytes of old records, and of another journal, turn up where the next record would be.
fn bring_back_old_bytes(planted: Planted) -> Result<(), String> {
    let said = |failed| tell("old bytes behind the last record", failed);
    let (disk, mut model) = (SimDisk::new(1), Model::default());
    let mut writer = model.reopen(&disk, planted).map_err(said)?;
    for body in [b"one", b"two"] {
        model.append_body(&mut writer, body.to_vec()).map_err(|error| error.to_string())?;
    }
    writer.write().and_then(|_| writer.sync()).map_err(|error| error.to_string())?;
    let name = "journal-00000000000000000001.log";
    let own = disk.read(name).unwrap_or_default();
    let foreign = foreign_record().map_err(|error| error.to_string())?;
    let record = 64;
    for bytes in [&own[4096..4096 + record], &foreign] {
        let disk = disk.fork(1);
        disk.damage(name, 4096 + 2 * record, bytes);
        match model.recover(&disk, planted) {
            Ok(_) | Err(Failed::Refused(Error::Damaged(_))) => {}
            Err(failed) => return Err(said(failed)),
        }
    }
    Ok(())
}

/// The third record of another journal.
fn foreign_record() -> Result<Vec<u8>, Error> {
    let disk = SimDisk::new(2);
    let mut writer = Reader::open(disk.clone(), Config::new([9; 16]), LogNumber(1))?.into_writer()?;
    for body in [b"one", b"two", b"six"] {
        writer.append(&Record { kind: Kind::Step, position: Position::default(), body })?;
    }
    writer.write()?;
    let bytes = disk.read("journal-00000000000000000001.log").unwrap_or_default();
    Ok(bytes[4096 + 128..4096 + 192].to_vec())
}

fn names(disk: &SimDisk) -> Vec<String> {
    anabranch_log::Disk::list(disk).unwrap_or_default()
}

fn tell(place: &str, failed: Failed) -> String {
    match failed {
        Failed::Refused(error) => format!("{place}: refused: {error}"),
        Failed::Violation(what) => format!("{place}: {what}"),
    }
}
