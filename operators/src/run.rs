//! The run of a step for one row.

use std::sync::Arc;

use anabranch_model::eval::{evaluate, is_true};
use anabranch_model::expr::Place;
use anabranch_model::frame::{Frame, StepContext};
use anabranch_model::key::MAX_KEY_BYTES;
use anabranch_model::message::MAX_SENT_BYTES;
use anabranch_model::partition::PartitionId;
use anabranch_model::plan::{Plan, TableId, WriteKind};
use anabranch_model::record::{DELETE_BYTES, PUT_BYTES, RecordWriter};
use anabranch_model::row::{ROW_STAMP_BYTES, Row};
use anabranch_model::stamp::Stamp;
use anabranch_model::types::Shape;
use anabranch_model::value::Value;
use anabranch_table::{Chunk, ChunkCursor, Table};

use crate::effects::Effects;
use crate::refusal::Reason;
use crate::route::{sought_key, stored_key};
use crate::rows::build;
use crate::step::{Lookup, Op, Program, Sent, Write};
use crate::tables::Tables;

/// Rows that a delete over a partition visits at a time.
const DELETE_CHUNK_ROWS: usize = 1024;

/// Buffers that a worker keeps from row to row.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    /// Row variables from number 1 on; an empty one is null.
    rows: Vec<Vec<u8>>,
    lets: Vec<Value<'static>>,
    row: Vec<u8>,
    key: Vec<u8>,
}

impl Scratch {
    /// Makes room for the variables of a program.
    pub(crate) fn fit(&mut self, program: &Program) {
        self.rows.resize_with((program.shapes.len() - 1).max(self.rows.len()), Vec::new);
        self.lets.resize(program.lets.max(self.lets.len()), Value::Null);
    }
}

/// One row's run: what it sees and what it may change.
pub(crate) struct Run<'r> {
    pub(crate) input: &'r [u8],
    /// Which row of its request.
    pub(crate) row: u32,
    pub(crate) partition: PartitionId,
    pub(crate) stamp: Stamp,
    pub(crate) context: &'r StepContext,
    pub(crate) plan: &'r Plan,
    pub(crate) tables: &'r mut Tables,
    pub(crate) scratch: &'r mut Scratch,
    pub(crate) effects: &'r mut Effects,
    pub(crate) record: Option<&'r mut RecordWriter>,
}

/// The frame of a run, over the fields that do not change while an expression is evaluated.
fn frame<'f>(
    input: &'f [u8],
    rows: &'f [Vec<u8>],
    lets: &'f [Value<'static>],
    shapes: &'f [Arc<Shape>],
    context: &'f StepContext,
) -> Frame<'f> {
    Frame { input, rows, candidate: None, shapes, lets, context }
}

impl Run<'_> {
    /// What an expression sees now.
    pub(crate) fn frame<'f>(&'f self, program: &'f Program) -> Frame<'f> {
        frame(self.input, &self.scratch.rows, &self.scratch.lets, &program.shapes, self.context)
    }

    /// Runs actions in order.
    pub(crate) fn ops(&mut self, program: &Program, ops: &[Op]) -> Result<(), Reason> {
        ops.iter().try_for_each(|op| self.op(program, op))
    }

    fn op(&mut self, program: &Program, op: &Op) -> Result<(), Reason> {
        match op {
            Op::Write(write) => self.write(program, write),
            Op::Delete { table, find } => self.delete(program, *table, find),
            Op::Read { table, find } => self.read(program, *table, find),
            Op::Let { slot, value } => {
                let value = evaluate(value, &self.frame(program))?.into_owned();
                self.scratch.lets[slot.0 as usize] = value;
                Ok(())
            }
            Op::If { arms, otherwise } => {
                for (condition, then) in arms {
                    if is_true(condition, &self.frame(program))? {
                        return self.ops(program, then);
                    }
                }
                self.ops(program, otherwise)
            }
            Op::Require { condition, code, text, place } => {
                let frame = self.frame(program);
                if is_true(condition, &frame)? {
                    return Ok(());
                }
                let text = match evaluate(text, &frame)? {
                    Value::Text(text) => text.into_owned(),
                    _ => String::new(),
                };
                Err(Reason { code: *code, text, place: *place })
            }
            Op::Reply { output, sent: Sent { shape, cells, place } } => {
                let frame =
                    frame(self.input, &self.scratch.rows, &self.scratch.lets, &program.shapes, self.context);
                let build = |out: &mut Vec<u8>| build(cells, shape, &frame, None, *place, out);
                self.effects.replies.push_with(self.row, *output, build)?;
                self.check_sent(*place)
            }
            Op::Emit { output, sent: Sent { shape, cells, place } } => {
                let Scratch { rows, lets, row, .. } = &mut *self.scratch;
                row.clear();
                build(
                    cells,
                    shape,
                    &frame(self.input, rows, lets, &program.shapes, self.context),
                    None,
                    *place,
                    row,
                )?;
                self.effects.emit(*output, row);
                self.check_sent(*place)
            }
        }
    }

    /// What one request may send, and have recorded, is bounded; the row that goes beyond it is taken back with its step.
    fn check_sent(&self, place: Place) -> Result<(), Reason> {
        match self.effects.sent_bytes() > MAX_SENT_BYTES {
            true => Err(Reason::too_much_sent(place)),
            false => check_room(self.record.as_deref(), self.effects, 0),
        }
    }

    fn write(&mut self, program: &Program, write: &Write) -> Result<(), Reason> {
        let Scratch { rows, lets, row, key: buffer } = &mut *self.scratch;
        let frame = frame(self.input, rows, lets, &program.shapes, self.context);
        let table = self.tables.get_mut(write.table, self.partition);
        row.clear();
        let stamp = self.stamp.0.to_le_bytes();
        let key = match &write.key_first {
            None => {
                build(&write.cells, &write.shape, &frame, None, write.place, row)?;
                row[ROW_STAMP_BYTES].copy_from_slice(&stamp);
                write.key.read(row, buffer)
            }
            Some(key) => {
                stored_key(key, &frame, buffer)?;
                let old = table.get(buffer).map(|bytes| Row::new(bytes, &write.shape));
                if write.kind == WriteKind::Update && old.is_none() {
                    return Ok(());
                }
                build(&write.cells, &write.shape, &frame, old, write.place, row)?;
                row[ROW_STAMP_BYTES].copy_from_slice(&stamp);
                buffer
            }
        };
        let name = || self.plan.tables[write.table.0 as usize].name.as_str();
        if key.len() > MAX_KEY_BYTES {
            return Err(Reason::key_too_long(name(), key.len(), write.place));
        }
        match write.kind {
            WriteKind::Insert if table.get(key).is_some() => {
                return Err(Reason::conflict(name(), write.place));
            }
            WriteKind::InsertOrIgnore if table.get(key).is_some() => return Ok(()),
            _ => {}
        }
        if table.is_full_for(key) {
            return Err(Reason::partition_full(name(), write.place));
        }
        check_room(self.record.as_deref(), self.effects, PUT_BYTES + row.len())?;
        table.put(key, row);
        if let Some(record) = &mut self.record {
            record.put(write.table, row);
        }
        Ok(())
    }

    fn read(&mut self, program: &Program, table: TableId, find: &Lookup) -> Result<(), Reason> {
        let mut found = std::mem::take(&mut self.scratch.rows[find.row.0 as usize - 1]);
        found.clear();
        let result = self.find(program, table, find, &mut found);
        self.scratch.rows[find.row.0 as usize - 1] = found;
        result
    }

    fn find(
        &mut self,
        program: &Program,
        table: TableId,
        find: &Lookup,
        found: &mut Vec<u8>,
    ) -> Result<(), Reason> {
        let Scratch { rows, lets, key: buffer, .. } = &mut *self.scratch;
        let frame = frame(self.input, rows, lets, &program.shapes, self.context);
        let Some(sought) = &find.key else { return Ok(()) };
        let Some(key) = sought_key(sought, &frame, buffer)? else { return Ok(()) };
        let Some(row) = self.tables.get(table, self.partition).and_then(|table| table.get(key)) else {
            return Ok(());
        };
        if holds(find, &frame, row)? {
            found.extend_from_slice(row);
        }
        Ok(())
    }

    fn delete(&mut self, program: &Program, of: TableId, find: &Lookup) -> Result<(), Reason> {
        let Scratch { rows, lets, key: buffer, .. } = &mut *self.scratch;
        let frame = frame(self.input, rows, lets, &program.shapes, self.context);
        let table = self.tables.get_mut(of, self.partition);
        if let Some(sought) = &find.key {
            let Some(key) = sought_key(sought, &frame, buffer)? else { return Ok(()) };
            if let Some(row) = table.get(key)
                && holds(find, &frame, row)?
            {
                check_room(self.record.as_deref(), self.effects, DELETE_BYTES + key.len())?;
                table.remove(key);
                self.record.iter_mut().for_each(|record| record.delete(of, key));
            }
            return Ok(());
        }
        let Some(partition) = sought_key(&find.partition, &frame, buffer)? else { return Ok(()) };
        let keys = matching_keys(table, find, &frame, partition)?;
        let bytes = keys.iter().map(|key| DELETE_BYTES + key.len()).sum();
        check_room(self.record.as_deref(), self.effects, bytes)?;
        for key in keys {
            table.remove(&key);
            self.record.iter_mut().for_each(|record| record.delete(of, &key));
        }
        Ok(())
    }
}

/// Whether so many bytes more fit into the record of a request, with the replies of its present step.
fn check_room(record: Option<&RecordWriter>, effects: &Effects, more: usize) -> Result<(), Reason> {
    match record.is_none_or(|record| record.takes(more + effects.replied_bytes())) {
        true => Ok(()),
        false => Err(Reason::too_much_changed()),
    }
}

/// Whether what a `where` asks beyond the key is true of a row.
fn holds(find: &Lookup, frame: &Frame<'_>, row: &[u8]) -> Result<bool, Reason> {
    match &find.filter {
        None => Ok(true),
        Some(filter) => Ok(is_true(filter, &Frame { candidate: Some((find.row, row)), ..*frame })?),
    }
}

/// The keys of the rows whose partition columns encode to `partition` and for which the filter holds.
fn matching_keys(
    table: &Table,
    find: &Lookup,
    frame: &Frame<'_>,
    partition: &[u8],
) -> Result<Vec<Vec<u8>>, Reason> {
    let (mut keys, mut failed, mut buffer) = (Vec::new(), None, Vec::new());
    let mut visit = |key: &[u8], row: &[u8]| {
        if failed.is_some() || find.partition_by.read(row, &mut buffer) != partition {
            return;
        }
        match holds(find, frame, row) {
            Ok(true) => keys.push(key.to_vec()),
            Ok(false) => {}
            Err(reason) => failed = Some(reason),
        }
    };
    let mut cursor = ChunkCursor::default();
    while let Chunk::More(next) = table.chunk(cursor, DELETE_CHUNK_ROWS, &mut visit) {
        cursor = next;
    }
    match failed {
        None => Ok(keys),
        Some(reason) => Err(reason),
    }
}
