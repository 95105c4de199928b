//! The step of one input row: its rules in file order, all or nothing.
//!
//! [`Program`] is a step of the plan prepared for running; [`Run`] is its run for one row.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use anabranch_model::eval::is_true;
use anabranch_model::expr::{Expr, ExprKind, LetSlot, Place, RowSlot};
use anabranch_model::key::KeyReader;
use anabranch_model::plan::{
    Action, Find, OutputId, Plan, RefusalCode, Source, Step, Sync, TableId, WriteKind,
};
use anabranch_model::types::{ColumnId, Shape, Type};

use crate::clock::Clock;
use crate::counts::RuleCounts;
use crate::direct::Direct;
use crate::refusal::Reason;
use crate::rows::{CellScope, Cells};
use crate::run::Run;

/// A step, prepared.
#[derive(Debug)]
pub(crate) struct Program {
    pub(crate) shapes: Vec<Arc<Shape>>,
    pub(crate) lets: usize,
    /// The tables to roll back when a run fails; empty when nothing can be written before it fails.
    pub(crate) undo: Vec<TableId>,
    /// The accesses by key that can be told from the input row: the table, and how its key reads from the row.
    pub(crate) foreseen: Vec<(TableId, KeyReader)>,
    /// Whether it may change a table.
    pub(crate) writes: bool,
    /// How safe what it did has to be before it is seen.
    pub(crate) sync: Sync,
    /// Set where the step does no more than this.
    pub(crate) direct: Option<Rc<Direct>>,
    rules: Vec<(Option<Expr>, Vec<Op>)>,
    ran: Vec<Cell<RuleCounts>>,
    /// Measures rules, where the worker keeps a profile.
    profiled: Option<Clock>,
}

/// An action, prepared.
#[derive(Debug)]
pub(crate) enum Op {
    Write(Write),
    Delete { table: TableId, find: Lookup },
    Read { table: TableId, find: Lookup },
    Let { slot: LetSlot, value: Expr },
    If { arms: Vec<(Expr, Vec<Op>)>, otherwise: Vec<Op> },
    Require { condition: Expr, code: RefusalCode, text: Expr, place: Place },
    Reply { output: OutputId, sent: Sent },
    Emit { output: OutputId, sent: Sent },
}

/// A row to write.
#[derive(Debug)]
pub(crate) struct Write {
    pub(crate) kind: WriteKind,
    pub(crate) table: TableId,
    pub(crate) shape: Arc<Shape>,
    pub(crate) cells: Cells,
    pub(crate) key: KeyReader,
    /// The key's values, where the row that is there must be found before the new one can be built.
    pub(crate) key_first: Option<Vec<(Expr, Type)>>,
    pub(crate) place: Place,
}

/// A row to send.
#[derive(Debug)]
pub(crate) struct Sent {
    pub(crate) shape: Arc<Shape>,
    pub(crate) cells: Cells,
    pub(crate) place: Place,
}

/// A `where`, prepared.
#[derive(Debug)]
pub(crate) struct Lookup {
    /// The whole key.
    pub(crate) key: Option<Vec<(Expr, Type)>>,
    /// The partition values, and how they read from a row of the table.
    pub(crate) partition: Vec<(Expr, Type)>,
    pub(crate) partition_by: KeyReader,
    pub(crate) filter: Option<Expr>,
    pub(crate) row: RowSlot,
}

impl Program {
    /// Prepares a step of a plan.
    pub(crate) fn of(step: &Step, plan: &Plan, node: &str, profiled: Option<Clock>) -> Self {
        let compiler = Compiler { plan, scope: CellScope { shapes: &step.rows, node } };
        let rule = |rule: &anabranch_model::plan::Rule| (rule.filter.clone(), compiler.ops(&rule.actions));
        let mut undo = written_by(step);
        // Sending can be refused, too, when a request has sent too much, and a change, when it has changed too much.
        if !step.undo && undo.len() <= 1 && !step.rules.iter().any(|rule| sends(&rule.actions)) {
            undo.clear();
        }
        undo.sort_unstable();
        undo.dedup();
        let mut foreseen = Vec::new();
        step.rules.iter().for_each(|rule| compiler.foresee(&rule.actions, &mut foreseen));
        let reader =
            |(table, columns): (TableId, Vec<ColumnId>)| (table, KeyReader::new(&step.rows[0], &columns));
        let foreseen: Vec<_> = foreseen.into_iter().map(reader).collect();
        let rules: Vec<_> = step.rules.iter().map(rule).collect();
        Program {
            direct: Direct::of(&rules, &foreseen, step, plan).map(Rc::new),
            foreseen,
            writes: step.writes(),
            sync: step.sync(&plan.tables),
            shapes: step.rows.clone(),
            lets: usize::from(step.lets),
            undo,
            ran: vec![Cell::default(); rules.len()],
            rules,
            profiled,
        }
    }

    /// Runs the step for one input row.
    ///
    /// # Errors
    /// The row is refused. What was written before is still written: the caller rolls back ([`Program::undo`]).
    pub(crate) fn run(&self, run: &mut Run<'_>) -> Result<(), Reason> {
        for ((filter, ops), ran) in self.rules.iter().zip(&self.ran) {
            let began = self.begin();
            let result = self.rule(filter.as_ref(), ops, ran, run);
            self.end(ran, began);
            result?;
        }
        Ok(())
    }

    fn rule(
        &self,
        filter: Option<&Expr>,
        ops: &[Op],
        ran: &Cell<RuleCounts>,
        run: &mut Run<'_>,
    ) -> Result<(), Reason> {
        if let Some(filter) = filter
            && !is_true(filter, &run.frame(self))?
        {
            return Ok(());
        }
        let counts = ran.get();
        ran.set(RuleCounts { rows: counts.rows + 1, ..counts });
        run.ops(self, ops)
    }

    /// When a rule begins, where that is measured.
    #[inline]
    pub(crate) fn begin(&self) -> Option<Duration> {
        self.profiled.map(|clock| clock.now())
    }

    #[inline]
    fn end(&self, ran: &Cell<RuleCounts>, began: Option<Duration>) {
        if let (Some(clock), Some(began)) = (self.profiled, began) {
            let counts = ran.get();
            let nanos = counts.nanos + clock.now().saturating_sub(began).as_nanos() as u64;
            ran.set(RuleCounts { nanos, ..counts });
        }
    }

    /// For each rule what it did.
    pub(crate) fn ran(&self) -> Vec<RuleCounts> {
        self.ran.iter().map(Cell::get).collect()
    }

    /// The only rule of a step with a short way ran for so many rows.
    pub(crate) fn ran_directly(&self, rows: usize, began: Option<Duration>) {
        for ran in &self.ran {
            let counts = ran.get();
            ran.set(RuleCounts { rows: counts.rows + rows as u64, ..counts });
            self.end(ran, began);
        }
    }
}

/// Whether actions may reply or emit.
fn sends(actions: &[Action]) -> bool {
    actions.iter().any(|action| match action {
        Action::Reply { .. } | Action::Emit { .. } => true,
        Action::If { arms, otherwise } => arms.iter().any(|(_, actions)| sends(actions)) || sends(otherwise),
        _ => false,
    })
}

/// The tables that a step may write.
fn written_by(step: &Step) -> Vec<TableId> {
    let mut found = Vec::new();
    for rule in &step.rules {
        collect_written(&rule.actions, &mut found);
    }
    found
}

fn collect_written(actions: &[Action], found: &mut Vec<TableId>) {
    for action in actions {
        match action {
            Action::Write { table, .. } | Action::Delete { table, .. } => found.push(*table),
            Action::If { arms, otherwise } => {
                arms.iter().for_each(|(_, actions)| collect_written(actions, found));
                collect_written(otherwise, found);
            }
            _ => {}
        }
    }
}

/// The tables that a step reads or writes, as often as it does.
pub(crate) fn tables_of(step: &Step) -> impl Iterator<Item = TableId> {
    let mut found = Vec::new();
    for rule in &step.rules {
        collect_tables(&rule.actions, &mut found);
    }
    found.into_iter()
}

fn collect_tables(actions: &[Action], found: &mut Vec<TableId>) {
    for action in actions {
        match action {
            Action::Write { table, .. } | Action::Delete { table, .. } | Action::Read { table, .. } => {
                found.push(*table);
            }
            Action::If { arms, otherwise } => {
                arms.iter().for_each(|(_, actions)| collect_tables(actions, found));
                collect_tables(otherwise, found);
            }
            Action::Let { .. } | Action::Require { .. } | Action::Reply { .. } | Action::Emit { .. } => {}
        }
    }
}

/// The column of the input row that an expression is, when it stands there with this type and is never null.
pub(crate) fn input_column(expr: &Expr, ty: &Type, input: &Shape) -> Option<ColumnId> {
    match expr.kind {
        ExprKind::Column(RowSlot(0), id) => {
            let column = input.column(id);
            (!column.nullable && column.ty == *ty).then_some(id)
        }
        _ => None,
    }
}

struct Compiler<'p> {
    plan: &'p Plan,
    scope: CellScope<'p>,
}

impl Compiler<'_> {
    fn ops(&self, actions: &[Action]) -> Vec<Op> {
        actions.iter().map(|action| self.op(action)).collect()
    }

    fn op(&self, action: &Action) -> Op {
        match action {
            Action::Write { kind, table, columns, place } => {
                Op::Write(self.write(*kind, *table, columns, *place))
            }
            Action::Delete { table, find, .. } => {
                Op::Delete { table: *table, find: self.lookup(*table, find) }
            }
            Action::Read { table, find, .. } => Op::Read { table: *table, find: self.lookup(*table, find) },
            Action::Let { slot, value } => Op::Let { slot: *slot, value: value.clone() },
            Action::If { arms, otherwise } => Op::If {
                arms: arms.iter().map(|(when, then)| (when.clone(), self.ops(then))).collect(),
                otherwise: self.ops(otherwise),
            },
            Action::Require { condition, code, text, place } => {
                Op::Require { condition: condition.clone(), code: *code, text: text.clone(), place: *place }
            }
            Action::Reply { output, columns, place } => {
                Op::Reply { output: *output, sent: self.sent(*output, columns, *place) }
            }
            Action::Emit { output, columns, place } => {
                Op::Emit { output: *output, sent: self.sent(*output, columns, *place) }
            }
        }
    }

    /// Collects the accesses whose key stands in columns of the input row as it is.
    fn foresee(&self, actions: &[Action], found: &mut Vec<(TableId, Vec<ColumnId>)>) {
        for action in actions {
            let (table, key): (TableId, Vec<&Expr>) = match action {
                Action::Write { table, columns, .. } => {
                    let value = |id: &ColumnId| match &columns[id.0 as usize] {
                        Source::Value(expr) => Some(expr),
                        _ => None,
                    };
                    (*table, self.plan.tables[table.0 as usize].key.iter().filter_map(value).collect())
                }
                Action::Read { table, find, .. } | Action::Delete { table, find, .. } => {
                    (*table, find.key.iter().flatten().collect())
                }
                _ => continue,
            };
            let of = &self.plan.tables[table.0 as usize];
            let column = |(expr, id): (&Expr, &ColumnId)| {
                input_column(expr, &of.shape.column(*id).ty, &self.scope.shapes[0])
            };
            let columns: Option<Vec<ColumnId>> = key.into_iter().zip(&of.key).map(column).collect();
            if let Some(columns) = columns.filter(|columns| columns.len() == of.key.len())
                && !found.contains(&(table, columns.clone()))
            {
                found.push((table, columns));
            }
        }
    }

    fn write(&self, kind: WriteKind, table: TableId, columns: &[Source], place: Place) -> Write {
        let of = &self.plan.tables[table.0 as usize];
        let cells = Cells::of_sources(columns, &of.shape, self.scope);
        let creates = matches!(kind, WriteKind::Insert | WriteKind::InsertOrIgnore);
        let needs_old = kind == WriteKind::Update || !creates && cells.needs_old();
        let value = |id: &ColumnId| match &columns[id.0 as usize] {
            Source::Value(expr) => (expr.clone(), of.shape.column(*id).ty.clone()),
            source => unreachable!("the plan sets a key column of `{}` by {source:?}", of.name),
        };
        Write {
            kind,
            table,
            shape: of.shape.clone(),
            cells,
            key: KeyReader::new(&of.shape, &of.key),
            key_first: needs_old.then(|| of.key.iter().map(value).collect()),
            place,
        }
    }

    fn sent(&self, output: OutputId, columns: &[Expr], place: Place) -> Sent {
        let shape = self.plan.outputs[output.0 as usize].shape.clone();
        let cells = Cells::of_values(columns, &shape, self.scope);
        Sent { shape, cells, place }
    }

    fn lookup(&self, table: TableId, find: &Find) -> Lookup {
        let of = &self.plan.tables[table.0 as usize];
        let typed = |values: &[Expr], columns: &[ColumnId]| -> Vec<(Expr, Type)> {
            values.iter().cloned().zip(columns.iter().map(|&id| of.shape.column(id).ty.clone())).collect()
        };
        Lookup {
            key: find.key.as_ref().map(|key| typed(key, &of.key)),
            partition: typed(&find.partition, &of.partition_by),
            partition_by: KeyReader::new(&of.shape, &of.partition_by),
            filter: find.filter.clone(),
            row: find.row,
        }
    }
}
