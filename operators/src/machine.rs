//! A flow on one worker: its tables, and the steps of the rows that reach it.

use std::sync::Arc;

use anabranch_model::batch::Batch;
use anabranch_model::eval::evaluate;
use anabranch_model::frame::{Chance, Frame, StepContext};
use anabranch_model::message::{Answer, PAGE_BYTES, Page, Reads, Refusal, RefusedRow, RowsAnswer};
use anabranch_model::partition::PartitionId;
use anabranch_model::plan::{InputId, OutputId, Plan, RefusalCode, Route, Sync, TableId};
use anabranch_model::snapshot::{Item, StateWriter};
use anabranch_model::stamp::{HybridClock, Stamp};
use anabranch_model::value::Value;
use anabranch_table::KeyHash;

use crate::clock::{Clock, Stopwatch};
use crate::counts::FlowCounts;
use crate::dataflow::{Task, Work};
use crate::direct::Direct;
use crate::effects::Effects;
use crate::recorder::{FlowPartition, Follows, Kept, Recorder, Records, Turn};
use crate::refusal::Reason;
use crate::restore::{RestoreError, Restorer, check_answer};
use crate::route::{Router, same_ways};
use crate::run::{Run, Scratch};
use crate::snapshot::FlowPlace;
use crate::split::{Routed, Share};
use crate::step::Program;
use crate::tables::Tables;

/// Rows whose memory is asked for together: enough for the waits to overlap, few enough for the processor's queue of
/// waits (measured over 8 to 128; a pipeline of three groups was no faster).
const FORESEEN_ROWS: usize = 16;

/// The size of the partitions of a table on one worker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TableSize {
    /// Rows.
    pub rows: u64,
    /// Bytes of keys and packed rows.
    pub row_bytes: u64,
    /// Bytes of memory held for them.
    pub memory_bytes: u64,
}

/// Rows for subscribers.
pub(crate) enum Published {
    Emitted(OutputId, Batch),
    Refused(RefusedRow),
}

/// What a machine measures, and by which clock.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Measured {
    /// How long the steps of inputs run.
    pub(crate) steps: Option<Clock>,
    /// How long each rule runs: the clock is read twice for every row.
    pub(crate) rules: Option<Clock>,
}

/// A flow on one worker.
#[derive(Debug)]
pub(crate) struct Machine {
    plan: Arc<Plan>,
    seed: u64,
    routers: Vec<Router>,
    programs: Vec<Program>,
    tables: Tables,
    clock: HybridClock,
    context: StepContext,
    scratch: Scratch,
    effects: Effects,
    counts: FlowCounts,
    measured: Measured,
    watch: Stopwatch,
    recorder: Recorder,
    /// There while records are done again.
    restorer: Option<Restorer>,
    /// For keys that do not stand in one piece in their row.
    key: Vec<u8>,
}

impl Machine {
    pub(crate) fn new(plan: Arc<Plan>, node: Arc<str>, seed: u64, measured: Measured) -> Self {
        let program = |step| Program::of(step, &plan, &node, measured.rules);
        let programs: Vec<Program> = plan.steps.iter().map(program).collect();
        let mut scratch = Scratch::default();
        programs.iter().for_each(|program| scratch.fit(program));
        let context = StepContext::new(node.clone(), node, plan.revision, Chance::new(seed));
        let counts = FlowCounts::of(&plan);
        Machine {
            routers: Router::of_plan(&plan),
            programs,
            tables: Tables::new(&plan, seed),
            clock: HybridClock::default(),
            context,
            scratch,
            effects: Effects::default(),
            counts,
            measured,
            watch: Stopwatch::new(measured.steps),
            recorder: Recorder::default(),
            restorer: None,
            key: Vec::new(),
            seed,
            plan,
        }
    }

    /// The flow at a newer revision from this time on, in microseconds since 1970 UTC: its rows (which have the new bytes already) and counts go on, and so do its clock
    /// and its chance.
    pub(crate) fn revised(&mut self, plan: Arc<Plan>, at: i64) -> Machine {
        let old = &self.plan;
        let mut machine = Machine::new(plan.clone(), self.context.node.clone(), self.seed, self.measured);
        let tables = std::mem::take(&mut self.tables);
        machine.tables = tables.revised(old, &plan, self.seed);
        machine.clock = self.clock.clone();
        machine.context.chance = self.context.chance.clone();
        machine.counts = self.counts.revised(old, &plan);
        machine.recorder = std::mem::take(&mut self.recorder);
        machine.recorder.revise(&|output| same_output(output, old, &plan));
        if !same_ways(old, &plan) {
            machine.recorder.reroute(at.max(0) as u64);
        }
        machine
    }

    /// The plan that it runs.
    pub(crate) fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    pub(crate) fn tables(&mut self) -> &mut Tables {
        &mut self.tables
    }

    pub(crate) fn counts(&self) -> FlowCounts {
        let mut counts = self.counts.clone();
        for (input, program) in counts.inputs.iter_mut().zip(&self.programs) {
            input.rules = program.ran();
        }
        counts
    }

    /// The sizes of all tables, in the order of the plan.
    pub(crate) fn sizes(&self) -> Vec<TableSize> {
        let size = |table: usize| {
            let mut size = TableSize::default();
            for part in self.tables.all(TableId(table as u16)) {
                size.rows += part.len() as u64;
                size.row_bytes += part.row_bytes() as u64;
                size.memory_bytes += part.memory_bytes() as u64;
            }
            size
        };
        (0..self.plan.tables.len()).map(size).collect()
    }

    /// Does the work of a task at time `now`; rows for subscribers go to `publish`.
    ///
    /// Also says what it recorded; the worker had made `count` records before.
    pub(crate) fn work(
        &mut self,
        task: &Task,
        now: i64,
        count: u64,
        publish: &mut impl FnMut(Published),
    ) -> (Answer, Kept) {
        self.measure(if let Work::Rows { input, .. } = &task.work { Some(*input) } else { None });
        match &task.work {
            Work::Rows { input, share } => {
                let at = input.0 as usize;
                let once = task.origin.once.filter(|_| self.plan.steps[at].leaves_traces());
                let writes = self.programs[at].writes;
                self.recorder.request(once, self.routers[at].partitions(), writes);
                self.rows(*input, share, now, publish);
                for (output, batch) in std::mem::take(&mut self.effects.emitted) {
                    self.counts.rows_out[output.0 as usize] += batch.len() as u64;
                    publish(Published::Emitted(output, batch));
                }
                let effects = &mut self.effects;
                let kept = self.recorder.finish(self.plan.revision, count, |answer| effects.repeat(answer));
                (Answer::Rows(effects.answer()), kept)
            }
            Work::Get { table, partition, key, reads } => {
                let row = self.tables.get(*table, *partition).and_then(|table| table.get(key));
                let of = self.plan.tables[table.0 as usize].policy.partitions;
                let kept = match reads {
                    Reads::Safe => self.recorder.read(FlowPartition { of, number: partition.0 }),
                    Reads::Stale => Kept::default(),
                };
                (Answer::Row(row.map(<[u8]>::to_vec)), kept)
            }
            Work::Page { table, after, limit, reads } => {
                let page = self.page(*table, after.as_deref(), *limit as usize);
                let kept = match reads {
                    Reads::Safe => {
                        self.recorder.read_all(self.plan.tables[table.0 as usize].policy.partitions)
                    }
                    Reads::Stale => Kept::default(),
                };
                (Answer::Page(page), kept)
            }
        }
    }

    /// How safe what a task rests on has to be before its answer is seen, and what its rules emit.
    pub(crate) fn sync(&self, work: &Work) -> Sync {
        match work {
            Work::Rows { input, .. } => self.programs[input.0 as usize].sync,
            Work::Get { table, .. } | Work::Page { table, .. } => {
                self.plan.tables[table.0 as usize].policy.sync
            }
        }
    }

    /// No more work for now.
    pub(crate) fn rest(&mut self) {
        self.measure(None);
    }

    fn measure(&mut self, next: Option<InputId>) {
        if let Some((input, ran)) = self.watch.change(next) {
            self.counts.inputs[input.0 as usize].step_nanos += ran.as_nanos() as u64;
        }
    }

    fn rows(&mut self, input: InputId, share: &Share, now: i64, publish: &mut impl FnMut(Published)) {
        let mut refuse = |row: &[u8], refusal: Option<Refusal>| {
            // Of what is only not done again nobody else hears.
            if let Some(refusal) = refusal.filter(|refusal| refusal.code != RefusalCode::Unknown) {
                publish(Published::Refused(RefusedRow { input, row: row.to_vec(), refusal }));
            }
        };
        let direct = self.programs[input.0 as usize].direct.clone();
        let began = direct.as_ref().and_then(|_| self.programs[input.0 as usize].begin());
        let mut rest = share.rows();
        let mut group = [(Routed::default(), &[][..]); FORESEEN_ROWS];
        let mut count = 0;
        loop {
            let taken = group.iter_mut().zip(&mut rest).map(|(place, row)| *place = row).count();
            if taken == 0 {
                break;
            }
            count += taken;
            let rows = &mut group[..taken];
            if let Some(direct) = &direct {
                self.put_directly(direct, rows, now, &mut refuse);
                continue;
            }
            if !share.is_routed() {
                self.route(input, rows);
            }
            self.foresee(input, rows);
            for (routed, row) in rows {
                self.effects.begin();
                if let Some(result) = self.step(input, row, *routed, now) {
                    refuse(row, self.end(*routed, result));
                }
            }
        }
        let counts = &mut self.counts.inputs[input.0 as usize];
        counts.batch(count);
        self.effects.refusals.iter().for_each(|refusal| counts.refused(refusal.code));
        if direct.is_some() {
            self.programs[input.0 as usize].ran_directly(count, began);
        }
        for (_, output, _) in self.effects.replies.iter() {
            self.counts.rows_out[output.0 as usize] += 1;
        }
    }

    /// Finds where rows belong.
    fn route(&mut self, input: InputId, rows: &mut [(Routed, &[u8])]) {
        let (router, shapes) = (&self.routers[input.0 as usize], &self.plan.steps[input.0 as usize].rows);
        for (routed, row) in rows {
            routed.partition = router.place(row, shapes, &self.context, &mut self.key);
        }
    }

    /// Puts at most [`FORESEEN_ROWS`] rows in three loops: one asks for the memory of the index, one for that of the
    /// rows, one writes.
    fn put_directly(
        &mut self,
        direct: &Direct,
        rows: &[(Routed, &[u8])],
        now: i64,
        refuse: &mut impl FnMut(&[u8], Option<Refusal>),
    ) {
        let mut ahead = [(PartitionId(0), KeyHash::default()); FORESEEN_ROWS];
        for (ahead, (routed, row)) in ahead.iter_mut().zip(rows) {
            *ahead = direct.prefetch_index(row, routed.partition, &self.tables, &mut self.key);
        }
        let ahead = &ahead[..rows.len()];
        for (partition, hash) in ahead {
            direct.prefetch_row(*partition, *hash, &self.tables);
        }
        for (place, (routed, row)) in ahead.iter().zip(rows) {
            let put = match self.recorder.begin(place.0) {
                Turn::Run => {
                    let stamp = self.clock.tick(now);
                    let record = self.recorder.writer();
                    direct.put(row, *place, stamp, &mut self.tables, record, &mut self.key)
                }
                Turn::Repeat(_) => continue,
                Turn::Forgotten => Err(Reason::forgotten()),
            };
            match put {
                Ok(()) => {
                    self.effects.accepted += 1;
                    self.recorder.end(None, std::iter::empty());
                }
                Err(reason) => {
                    self.effects.begin();
                    refuse(row, self.end(*routed, Err(reason)));
                }
            }
        }
    }

    /// The step of a row has ended; its refusal.
    fn end(&mut self, routed: Routed, result: Result<(), Reason>) -> Option<Refusal> {
        let refusal = self.effects.end(routed.row, result);
        self.recorder.end(refusal.as_ref(), self.effects.replied());
        refusal
    }

    /// Asks for the memory of the rows that the steps of these rows will access, so that the waits for it overlap.
    fn foresee(&mut self, input: InputId, rows: &[(Routed, &[u8])]) {
        for (table, reader) in &self.programs[input.0 as usize].foreseen {
            let mut ahead = [(PartitionId(0), KeyHash::default()); FORESEEN_ROWS];
            for (ahead, (routed, row)) in ahead.iter_mut().zip(rows) {
                let partition = routed.partition.unwrap_or(PartitionId(0));
                let key = reader.read(row, &mut self.key);
                *ahead = (partition, self.tables.prefetch_index(*table, partition, key));
            }
            for (partition, hash) in &ahead[..rows.len()] {
                self.tables.prefetch_row(*table, *partition, *hash);
            }
        }
    }

    /// The step of a row; nothing where it was done before.
    fn step(&mut self, input: InputId, row: &[u8], routed: Routed, now: i64) -> Option<Result<(), Reason>> {
        match routed.partition.map_or(&Turn::Run, |partition| self.recorder.begin(partition)) {
            Turn::Run => Some(self.run(input, row, routed, now)),
            Turn::Repeat(_) => None,
            Turn::Forgotten => Some(Err(Reason::forgotten())),
        }
    }

    fn run(&mut self, input: InputId, row: &[u8], routed: Routed, now: i64) -> Result<(), Reason> {
        let stamp = self.clock.tick(now);
        self.context.now = stamp.micros();
        let partition = match routed.partition {
            Some(partition) => partition,
            None => self.stay(input, row)?,
        };
        let program = &self.programs[input.0 as usize];
        for &table in &program.undo {
            self.tables.get_mut(table, partition).begin();
        }
        let mut run = Run {
            input: row,
            row: routed.row,
            partition,
            stamp,
            context: &self.context,
            plan: &self.plan,
            tables: &mut self.tables,
            scratch: &mut self.scratch,
            effects: &mut self.effects,
            record: self.recorder.writer(),
        };
        let result = program.run(&mut run);
        for &table in &program.undo {
            let table = self.tables.get_mut(table, partition);
            if result.is_ok() { table.commit() } else { table.roll_back() }
        }
        result
    }

    /// A row without a partition runs here, unless its route failed or names another node.
    fn stay(&mut self, input: InputId, row: &[u8]) -> Result<PartitionId, Reason> {
        let step = &self.plan.steps[input.0 as usize];
        let frame = Frame {
            input: row,
            rows: &[],
            candidate: None,
            shapes: &step.rows,
            lets: &[],
            context: &self.context,
        };
        match &step.route {
            Route::Entry => {}
            Route::Hash { .. } => {
                let mut buffer = Vec::new();
                self.routers[input.0 as usize].partition(&frame, &mut buffer)?;
            }
            Route::Node(to) => {
                let node = evaluate(to, &frame)?;
                if node != Value::from(&*self.context.node) {
                    let name = if let Value::Text(name) = node { name } else { "null".into() };
                    return Err(Reason::no_such_node(&name, to.place));
                }
            }
        }
        Ok(PartitionId(0))
    }

    /// From now on what requests do is recorded.
    pub(crate) fn record_all(&mut self) {
        self.recorder.keep();
    }

    /// What was recorded since the last time.
    pub(crate) fn records(&mut self) -> Records {
        self.recorder.take()
    }

    /// Does again what a record says was done.
    ///
    /// # Errors
    /// It is no record of this flow, or not the next of its partition; some of it may have been done.
    pub(crate) fn restore(&mut self, part: FlowPartition, seq: u64, body: &[u8]) -> Result<(), RestoreError> {
        let part = part.checked().ok_or(RestoreError::Partition(part))?;
        match self.recorder.restore(part, seq) {
            Follows::Next => {}
            Follows::Had => return Ok(()),
            Follows::Not => return Err(RestoreError::Order { part, seq }),
        }
        let Machine { plan, tables, clock, restorer, .. } = self;
        let restorer = restorer.get_or_insert_with(|| Restorer::new(plan));
        let record = restorer.restore(part, body, plan, tables, clock)?;
        if let Some(once) = &record.of.once {
            check_answer(&record.answer()?, plan)?;
            if !self.recorder.remember(part, once, record.answer_bytes()) {
                return Err(RestoreError::Twice { part, seq });
            }
        }
        Ok(())
    }

    /// Takes an item of a snapshot; how many rows.
    ///
    /// # Errors
    /// What is wrong with it; some of it may have been taken.
    pub(crate) fn load(&mut self, item: Item<'_>) -> Result<u64, RestoreError> {
        match item {
            Item::Partition(standing) => {
                let part = FlowPartition { of: standing.of, number: standing.number };
                let part = part.checked().ok_or(RestoreError::Partition(part))?;
                let check = |answer: &RowsAnswer| check_answer(answer, &self.plan);
                self.recorder.restore_head(part, standing.seq, standing.remembered, check)?;
                Ok(0)
            }
            Item::Rows(table, partition, rows) => {
                let Machine { plan, tables, restorer, .. } = self;
                let restorer = restorer.get_or_insert_with(|| Restorer::new(plan));
                restorer.load(table, partition, rows, plan, tables)
            }
        }
    }

    /// Later stamps are larger than this one, and rows last found other partitions then.
    pub(crate) fn observe(&mut self, stamp: Stamp, rerouted: u64) {
        self.clock.observe(stamp);
        self.recorder.reroute(rerouted);
    }

    /// When rows last found other partitions than before.
    pub(crate) fn rerouted(&self) -> u64 {
        self.recorder.rerouted()
    }

    /// The last stamp.
    pub(crate) fn stamp(&self) -> Stamp {
        self.clock.last()
    }

    /// Where its part of a snapshot begins.
    pub(crate) fn place(&self) -> FlowPlace {
        FlowPlace::new(&self.recorder)
    }

    /// Goes on with its part of a snapshot, as [`FlowPlace::write`] does.
    pub(crate) fn write(&self, place: &mut FlowPlace, most: usize, out: &mut StateWriter) -> (u64, bool) {
        place.write(&self.plan, &self.tables, &self.recorder, most, out)
    }

    /// Nothing more is restored.
    pub(crate) fn restored(&mut self) {
        self.restorer = None;
    }

    /// The first `limit` rows after a key, of all partitions on this worker, in key order; fewer when they are long.
    fn page(&mut self, table: TableId, after: Option<&[u8]>, limit: usize) -> Page {
        let mut parts: Vec<_> =
            self.tables.all_mut(table).map(|part| part.in_order(after).peekable()).collect();
        let mut heads = std::collections::BinaryHeap::new();
        for (at, part) in parts.iter_mut().enumerate() {
            heads.extend(part.peek().map(|(key, _)| std::cmp::Reverse((*key, at))));
        }
        let (mut page, mut bytes) = (Page::default(), 0);
        while let Some(std::cmp::Reverse((_, at))) = heads.pop() {
            if page.rows.len() == limit || bytes >= PAGE_BYTES {
                page.more = true;
                break;
            }
            if let Some((key, row)) = parts[at].next() {
                bytes += key.len() + row.len();
                page.rows.push((key.to_vec(), row.to_vec()));
            }
            heads.extend(parts[at].peek().map(|(key, _)| std::cmp::Reverse((*key, at))));
        }
        page
    }
}

/// The output of a newer revision in which replies to an output of an older one can be told as they are.
fn same_output(output: OutputId, old: &Plan, new: &Plan) -> Option<OutputId> {
    let before = old.outputs.get(usize::from(output.0))?;
    let at = new.outputs.iter().position(|after| after.name == before.name)?;
    let same = before.shape.columns() == new.outputs[at].shape.columns();
    same.then_some(OutputId(at as u16))
}
