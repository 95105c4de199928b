//! What the outside knows of a journal: what it appended, what it was told is safe, and whether that came back.

use anabranch_log::{
    Config, Entry, Error, Kind, LogNumber, Planted, Position, Reader, Record, SnapshotWriter, Writer, recover,
};
use anabranch_sim::{Chance, SimDisk};

/// Small, so that a workload has many segments.
const SEGMENT_BYTES: u64 = 4096 + 3000;

/// A record as it was appended.
#[derive(Clone, Debug, PartialEq)]
struct Appended {
    kind: Kind,
    position: Position,
    body: Vec<u8>,
}

/// What the outside knows.
#[derive(Clone, Debug, Default)]
pub(crate) struct Model {
    /// Record 1 first.
    appended: Vec<Appended>,
    /// What was said to be safe.
    pub(crate) safe: u64,
    /// What was said to be safe before the last sync that made more safe.
    pub(crate) safe_before: u64,
}

pub(crate) fn config(planted: Planted) -> Config {
    Config::new(*b"an identity of a").segment_bytes(SEGMENT_BYTES).planted(planted)
}

impl Model {
    /// Recovers and looks whether what comes back is right; then goes on writing.
    pub(crate) fn reopen(&mut self, disk: &SimDisk, planted: Planted) -> Result<Writer<SimDisk>, Failed> {
        let reader = self.recover(disk, planted)?;
        let next = reader.position().0;
        let writer = reader.into_writer()?;
        self.appended.truncate(next as usize - 1);
        self.told(next - 1);
        Ok(writer)
    }

    /// Recovers and looks whether what comes back is right.
    pub(crate) fn recover(&self, disk: &SimDisk, planted: Planted) -> Result<Reader<SimDisk>, Failed> {
        let mut recovery = recover(disk.clone(), config(planted))?;
        let begin = recovery.snapshot.as_ref().map_or(0, |snapshot| snapshot.summary().begin.0);
        if let Some(mut snapshot) = recovery.snapshot.take() {
            while let Some(chunk) = snapshot.next()? {
                if chunk.body != self.state_at(chunk.at.0) {
                    return Err(Failed::Violation(format!("a chunk of record {} is wrong", chunk.at)));
                }
            }
        }
        let mut journal = recovery.journal;
        let mut last = begin;
        while let Some(entry) = journal.next()? {
            last += 1;
            self.compare(last, &entry).map_err(Failed::Violation)?;
        }
        match last < self.safe {
            true => {
                Err(Failed::Violation(format!("record {} was safe, the journal ends with {last}", self.safe)))
            }
            false => Ok(journal),
        }
    }

    fn compare(&self, expected: u64, entry: &Entry<'_>) -> Result<(), String> {
        if entry.number.0 != expected {
            return Err(format!("record {} came where {expected} is next", entry.number));
        }
        let record = entry.record;
        let came = Appended { kind: record.kind, position: record.position, body: record.body.to_vec() };
        match self.appended.get(expected as usize - 1) {
            Some(appended) if *appended == came => Ok(()),
            Some(_) => Err(format!("record {expected} came, but what it says was never appended there")),
            None => Err(format!("record {expected} came, which was never appended")),
        }
    }

    /// What a chunk says that knows the records up to one.
    fn state_at(&self, number: u64) -> Vec<u8> {
        let known = &self.appended[..(number as usize).min(self.appended.len())];
        known.iter().flat_map(|appended| [appended.body.len() as u8, appended.position.seq as u8]).collect()
    }

    fn told(&mut self, safe: u64) {
        if safe > self.safe {
            (self.safe_before, self.safe) = (self.safe, safe);
        }
    }

    /// Does some of everything until the disk stops it.
    pub(crate) fn work(
        &mut self,
        writer: &mut Writer<SimDisk>,
        disk: &SimDisk,
        chance: &mut Chance,
        steps: u32,
    ) -> Result<(), Error> {
        for _ in 0..steps {
            match chance.below(20) {
                0..10 => self.append(writer, chance)?,
                10..14 => {
                    writer.write()?;
                }
                14..18 => {
                    writer.write()?;
                    let safe = writer.sync()?;
                    self.told(safe.0);
                }
                18 => {
                    if let Some(order) = writer.spare_order() {
                        writer.put_spare(order.make(disk)?);
                    }
                }
                _ => self.snapshot(writer, disk, chance)?,
            }
        }
        Ok(())
    }

    pub(crate) fn append(&mut self, writer: &mut Writer<SimDisk>, chance: &mut Chance) -> Result<(), Error> {
        let bytes = match chance.below(12) {
            0 => 0,
            1 => 4000,
            2 => 1500,
            _ => chance.below(200),
        };
        // Zeros among them, which look like what was never written.
        let body = (0..bytes).map(|at| if at % 97 < 40 { 0 } else { chance.number() as u8 }).collect();
        self.append_body(writer, body)
    }

    pub(crate) fn append_body(&mut self, writer: &mut Writer<SimDisk>, body: Vec<u8>) -> Result<(), Error> {
        let seq = self.appended.len() as u64 + 1;
        let position = Position { flow: 1, of: 64, number: seq as u32 % 64, term: 1, seq };
        let kind = [Kind::Step, Kind::Flow, Kind::Term][seq as usize % 3];
        // It may be written even where the call fails: the outside knows what it tried.
        self.appended.push(Appended { kind, position, body });
        let appended = self.appended.last().expect("it was pushed");
        let done = writer.append(&Record { kind, position, body: &appended.body });
        if done.is_err() && writer.poison().is_none() {
            // It was refused, and nothing has changed.
            self.appended.pop();
        }
        let number = done?;
        assert_eq!(number, LogNumber(seq));
        self.told(writer.safe().0);
        Ok(())
    }

    fn snapshot(
        &mut self,
        writer: &mut Writer<SimDisk>,
        disk: &SimDisk,
        chance: &mut Chance,
    ) -> Result<(), Error> {
        let mut snapshot = SnapshotWriter::begin(disk.clone(), writer.snapshot_start())?;
        for _ in 0..chance.below(4) {
            self.append(writer, chance)?;
            let at = writer.next().before();
            snapshot.chunk(at, &self.state_at(at.0))?;
        }
        writer.write()?;
        let safe = writer.sync()?;
        self.told(safe.0);
        snapshot.finish(safe).map(drop)
    }
}

/// Why something did not go on.
#[derive(Debug)]
pub(crate) enum Failed {
    /// The journal says no.
    Refused(Error),
    /// What it gives is wrong.
    Violation(String),
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Failed::Refused(error)
    }
}
