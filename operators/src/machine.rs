//! A flow on one worker: its tables, and the steps of the rows that reach it.

mod reads;
mod redo;

use std::sync::Arc;

use anabranch_model::batch::Batch;
use anabranch_model::eval::evaluate;
use anabranch_model::frame::{Chance, Frame, StepContext};
use anabranch_model::message::{Answer, Reads, Refusal, RefusedRow, RowsAnswer};
use anabranch_model::partition::PartitionId;
use anabranch_model::plan::{InputId, OutputId, Plan, RefusalCode, Route, Sync, TableId};
use anabranch_model::share::{Routed, Share, Work};
use anabranch_model::snapshot::StateWriter;
use anabranch_model::stamp::{HybridClock, Stamp};
use anabranch_model::value::Value;
use anabranch_model::zone::{Group, Owners, Touched};
use anabranch_table::KeyHash;

use crate::clock::{Clock, Stopwatch};
use crate::counts::FlowCounts;
use crate::dataflow::Task;
use crate::direct::Direct;
use crate::effects::Effects;
use crate::recorder::{Kept, Kind, Recorder, Records, Turn};
use crate::refusal::Reason;
use crate::restore::Restorer;
use crate::route::{Router, same_ways};
use crate::run::{Run, Scratch};
use crate::snapshot::FlowPlace;
use crate::split::ShareRows;
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

/// What became of a task.
pub(crate) struct Done {
    pub(crate) answer: Answer,
    pub(crate) kept: Kept,
    /// The groups that it has touched.
    pub(crate) touched: Touched,
    /// Rows for subscribers.
    pub(crate) published: Vec<Published>,
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
    /// By input: how many nodes hold the rows that its step touches.
    copies: Vec<u16>,
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
        let routers = Router::of_plan(&plan);
        let copies = |router: &Router| router.partitions().map_or(0, |of| plan.copies(of));
        Machine {
            copies: routers.iter().map(copies).collect(),
            routers,
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

    /// The last record of each partition that has one: of how many, which, its term and number.
    pub(crate) fn positions(&self) -> Vec<(u32, u32, u64, u64)> {
        let at = |part| (part, self.recorder.head(part).0);
        let all = self.recorder.parts().map(at).filter(|(_, at)| at.seq > 0);
        all.map(|(part, at)| (part.of, part.number, at.term.0, at.seq)).collect()
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

    /// From now on these owners hold, if they are newer.
    pub(crate) fn adopt(&mut self, owners: &Arc<Owners>) {
        self.recorder.ownership().adopt(owners);
    }

    /// Does the work of a task at time `now`; the worker had made `count` records before.
    pub(crate) fn work(&mut self, task: &Task, now: i64, count: u64) -> Done {
        self.measure(if let Work::Rows { input, .. } = &task.work { Some(*input) } else { None });
        match &task.work {
            Work::Rows { input, share } => match &task.source {
                None => self.work_rows(task, *input, share, now, count),
                Some(source) => {
                    let here = std::mem::replace(&mut self.context.source, source.clone());
                    let done = self.work_rows(task, *input, share, now, count);
                    self.context.source = here;
                    done
                }
            },
            Work::Elsewhere { rows, .. } => {
                let answer = RowsAnswer { elsewhere: rows.clone(), ..RowsAnswer::default() };
                Done::read(Answer::Rows(answer), Kept::default(), Touched::default())
            }
            Work::Get { table, partition, key, reads } => {
                self.get(*table, *partition, key, *reads, task.divided)
            }
            Work::Page { table, after, limit, reads } => {
                let of = self.plan.tables[usize::from(table.0)].policy.partitions;
                let touched = self.served(of, task.divided);
                let page = self.page(*table, after.as_deref(), *limit as usize, touched);
                let kept = match reads {
                    Reads::Safe => self.recorder.read_all(of),
                    Reads::Stale => Kept::default(),
                };
                Done::read(Answer::Page(page), kept, touched.unwrap_or_default())
            }
        }
    }

    fn work_rows(&mut self, task: &Task, input: InputId, share: &Share, now: i64, count: u64) -> Done {
        let at = usize::from(input.0);
        self.recorder.request(Kind {
            once: task.origin.once.filter(|_| self.plan.steps[at].leaves_traces()),
            of: self.routers[at].partitions(),
            copies: self.copies[at],
            writes: self.programs[at].writes,
            divided: task.divided,
        });
        let mut published = Vec::new();
        self.rows(input, share, now, &mut published);
        for (output, batch) in std::mem::take(&mut self.effects.emitted) {
            self.counts.rows_out[usize::from(output.0)] += batch.len() as u64;
            published.push(Published::Emitted(output, batch));
        }
        let effects = &mut self.effects;
        let kept = self.recorder.finish(self.plan.revision, count, |answer| effects.repeat(answer));
        let copies = if kept.touched.is_empty() { 0 } else { self.copies[at] };
        let touched = Touched { copies, parts: kept.touched };
        Done { answer: Answer::Rows(effects.answer()), kept, touched, published }
    }

    /// How safe what a task rests on has to be before its answer is seen, and what its rules emit.
    pub(crate) fn sync(&self, work: &Work) -> Sync {
        match work {
            Work::Rows { input, .. } | Work::Elsewhere { input, .. } => self.programs[input.0 as usize].sync,
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

    fn rows(&mut self, input: InputId, share: &Share, now: i64, published: &mut Vec<Published>) {
        let mut refuse = |row: &[u8], refusal: Option<Refusal>| {
            // Of what is only not done again nobody else hears.
            if let Some(refusal) = refusal.filter(|refusal| refusal.code != RefusalCode::Unknown) {
                published.push(Published::Refused(RefusedRow { input, row: row.to_vec(), refusal }));
            }
        };
        let direct = self.programs[input.0 as usize].direct.clone();
        let began = direct.as_ref().and_then(|_| self.programs[input.0 as usize].begin());
        let mut rest = ShareRows::of(share);
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
            if share.routed.is_none() {
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
                Turn::Elsewhere => {
                    self.effects.elsewhere.push(routed.row);
                    continue;
                }
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
            Turn::Elsewhere => {
                self.effects.elsewhere.push(routed.row);
                None
            }
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

    /// Goes on with one partition, as [`FlowPlace::write_part`] does.
    pub(crate) fn write_part(&self, place: &mut FlowPlace, end: usize, out: &mut StateWriter) -> u64 {
        place.write_part(&self.plan, &self.tables, &self.recorder, end, out)
    }

    pub(crate) fn recorder(&mut self) -> &mut Recorder {
        &mut self.recorder
    }

    /// Whether this node serves a group.
    pub(crate) fn serves(&self, group: Group) -> bool {
        self.recorder.serves(group, u64::MAX)
    }

    /// Nothing more is restored.
    pub(crate) fn restored(&mut self) {
        self.restorer = None;
    }
}

impl Done {
    /// What was read.
    fn read(answer: Answer, kept: Kept, touched: Touched) -> Self {
        Done { answer, kept, touched, published: Vec::new() }
    }
}

/// The output of a newer revision in which replies to an output of an older one can be told as they are.
fn same_output(output: OutputId, old: &Plan, new: &Plan) -> Option<OutputId> {
    let before = old.outputs.get(usize::from(output.0))?;
    let at = new.outputs.iter().position(|after| after.name == before.name)?;
    let same = before.shape.columns() == new.outputs[at].shape.columns();
    same.then_some(OutputId(at as u16))
}
