//! The plan: a compiled flow. It is the contract between the language and the operators, public and serialisable, so
//! that other front ends can be added.
//!
//! All names are resolved to numbers, all types checked, all `..row` spreads written out. Each input stream has one
//! [`Step`]: everything that one of its rows causes, all or nothing.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::expr::{Expr, LetSlot, Place, RowSlot};
use crate::types::{ColumnId, EnumType, Shape};
use crate::zone::Group;

/// The version of the plan format. It is raised when a reader of the old one would misread the new one.
pub const PLAN_FORMAT: u16 = 1;

/// A compiled flow.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// [`PLAN_FORMAT`] of the compiler that wrote it.
    pub format: u16,
    /// The path of the flow file as it was given, for messages.
    pub file: String,
    /// The text of the flow file: whoever has it can compile the same plan.
    pub text: Arc<str>,
    /// The flow's name.
    pub name: String,
    /// The flow's revision.
    pub revision: i64,
    /// Declared enums.
    pub enums: Vec<Arc<EnumType>>,
    /// Input streams; [`InputId`] counts them.
    pub inputs: Vec<Stream>,
    /// Output streams; [`OutputId`] counts them.
    pub outputs: Vec<Stream>,
    /// Query tables; [`TableId`] counts them.
    pub tables: Vec<Table>,
    /// What a row of an input does, one per input, in the order of `inputs`.
    pub steps: Vec<Step>,
}

impl Plan {
    /// The input called `name`.
    pub fn input(&self, name: &str) -> Option<InputId> {
        self.inputs.iter().position(|stream| stream.name == name).map(|at| InputId(at as u16))
    }

    /// The output called `name`.
    pub fn output(&self, name: &str) -> Option<OutputId> {
        self.outputs.iter().position(|stream| stream.name == name).map(|at| OutputId(at as u16))
    }

    /// The table called `name`.
    pub fn table(&self, name: &str) -> Option<TableId> {
        self.tables.iter().position(|table| table.name == name).map(|at| TableId(at as u16))
    }

    /// How many nodes hold the rows of the tables that have so many partitions: as many as the one of them wants that
    /// wants most. What the flow does in a partition of them is recorded as one, so it goes one way. Where only steps
    /// without tables have so many, what is remembered of them is kept as tables are of which nothing else is said.
    pub fn copies(&self, partitions: u32) -> u16 {
        let of =
            self.tables.iter().map(|table| &table.policy).filter(|policy| policy.partitions == partitions);
        of.map(|policy| policy.copies).max().unwrap_or_else(|| Policy::default().copies) as u16
    }

    /// The group that a partition belongs to, of how many there are.
    pub fn group(&self, number: u32, of: u32) -> Group {
        Group::of(self.copies(of).into(), number, of)
    }

    /// How many partitions there are: of tables, and of steps that have none; each number once, growing.
    pub fn partitions(&self) -> Vec<u32> {
        let of_steps = self.steps.iter().filter_map(|step| match &step.route {
            Route::Hash { partitions, .. } => Some(*partitions),
            Route::Entry | Route::Node(_) => None,
        });
        let mut all: Vec<u32> =
            self.tables.iter().map(|table| table.policy.partitions).chain(of_steps).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// The classes of groups that it needs: numbers of copies, each once, growing.
    pub fn classes(&self) -> Vec<u16> {
        let mut all: Vec<u16> = self.partitions().into_iter().map(|of| self.copies(of)).collect();
        all.sort_unstable();
        all.dedup();
        all
    }
}

/// Number of an input stream in its plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct InputId(pub u16);

/// Number of an output stream in its plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct OutputId(pub u16);

/// Number of a table in its plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TableId(pub u16);

/// An input or output stream.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stream {
    /// Its name.
    pub name: String,
    /// Its columns.
    pub shape: Arc<Shape>,
    /// Where it is declared.
    pub place: Place,
}

/// A query table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Table {
    /// Its name.
    pub name: String,
    /// Its columns.
    pub shape: Arc<Shape>,
    /// The key columns, in the order of `key`.
    pub key: Vec<ColumnId>,
    /// The columns whose hash names the partition; all are key columns. The whole key when the file is silent.
    pub partition_by: Vec<ColumnId>,
    /// What its rows are owed.
    pub policy: Policy,
    /// Where it is declared.
    pub place: Place,
}

/// What the rows of a table are owed. Equal when all settings are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// Virtual partitions, at least 1, fixed when the table is created.
    pub partitions: u32,
    /// Nodes that hold a row, the owner included, at least 1.
    pub copies: u32,
    /// How many copies have a write before it is acknowledged.
    pub ack: Ack,
    /// What "has it" means.
    pub sync: Sync,
    /// What a node does that is cut off.
    pub split: Split,
    /// Whether other sites hold the rows too.
    pub sites: Sites,
}

impl Default for Policy {
    fn default() -> Self {
        Policy {
            partitions: 64,
            copies: 2,
            ack: Ack::All,
            sync: Sync::Disk,
            split: Split::Consistent,
            sites: Sites::None,
        }
    }
}

/// How many copies have a write before it is acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ack {
    /// Every copy that is in sync.
    All,
    /// This many; refused while fewer are in sync.
    Count(u32),
}

/// What it means that a copy has a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Sync {
    /// It is on disk.
    Disk,
    /// It is in memory.
    Memory,
}

/// What a node does that is cut off from the majority.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Split {
    /// It stops serving.
    Consistent,
}

/// Whether other sites hold the rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Sites {
    /// Only this one.
    None,
}

/// Everything that one row of an input causes: its rules in file order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Where the row goes.
    pub route: Route,
    /// The rules on this input, in file order.
    pub rules: Vec<Rule>,
    /// The shape of each row variable; number 0 is the input row.
    pub rows: Vec<Arc<Shape>>,
    /// How many `let` values the step has.
    pub lets: u16,
    /// Whether something can refuse the step after its first write, so that writes must be undone.
    pub undo: bool,
}

impl Step {
    /// Whether others can see afterwards that it ran: it writes, deletes or emits.
    pub fn leaves_traces(&self) -> bool {
        let traces = |action: &Action| {
            matches!(action, Action::Write { .. } | Action::Delete { .. } | Action::Emit { .. })
        };
        self.rules.iter().any(|rule| any(&rule.actions, &traces))
    }

    /// Whether it may change a table.
    pub fn writes(&self) -> bool {
        let writes = |action: &Action| matches!(action, Action::Write { .. } | Action::Delete { .. });
        self.rules.iter().any(|rule| any(&rule.actions, &writes))
    }

    /// How safe a change has to be before what the step did is seen: as the strictest of its tables says, and on the disk
    /// where it has none.
    pub fn sync(&self, tables: &[Table]) -> Sync {
        let one_is = |sync: Sync| {
            let is = |action: &Action| match action {
                Action::Write { table, .. } | Action::Delete { table, .. } | Action::Read { table, .. } => {
                    tables[table.0 as usize].policy.sync == sync
                }
                _ => false,
            };
            self.rules.iter().any(|rule| any(&rule.actions, &is))
        };
        match one_is(Sync::Memory) && !one_is(Sync::Disk) {
            true => Sync::Memory,
            false => Sync::Disk,
        }
    }
}

/// Whether one of the actions, or of those inside them, is such a one.
fn any(actions: &[Action], such: &dyn Fn(&Action) -> bool) -> bool {
    actions.iter().any(|action| match action {
        Action::If { arms, otherwise } => {
            arms.iter().any(|(_, actions)| any(actions, such)) || any(otherwise, such)
        }
        action => such(action),
    })
}

/// Where a row of an input goes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Route {
    /// It stays at the node and worker where it entered (a step without tables).
    Entry,
    /// To the owner of the partition that these values name. They see only row 0, cannot be null, and have the types
    /// of the partition columns of the tables of the step, in their order.
    Hash {
        /// The partition values.
        by: Vec<Expr>,
        /// How many partitions the tables of the step have.
        partitions: u32,
    },
    /// To the node of this name (text, not null; sees only row 0).
    Node(Expr),
}

/// One rule: `on Input as u where ... { ... }`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rule {
    /// Where it starts.
    pub place: Place,
    /// Rows for which this is not true are passed over.
    pub filter: Option<Expr>,
    /// What it does.
    pub actions: Vec<Action>,
}

/// One action of a rule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Action {
    /// `upsert`, `insert`, `insert or ignore`, `update`.
    Write {
        /// Which.
        kind: WriteKind,
        /// The table.
        table: TableId,
        /// What every column gets, in the order of the table's shape. Key columns are always `Value`.
        columns: Vec<Source>,
        /// Where it stands.
        place: Place,
    },
    /// `delete T where ...`.
    Delete {
        /// The table.
        table: TableId,
        /// Which rows.
        find: Find,
        /// Where it stands.
        place: Place,
    },
    /// `read T where ... as x or null`: puts a copy of the row, or null, into row variable `find.row`.
    Read {
        /// The table.
        table: TableId,
        /// Which row; always with a `key`.
        find: Find,
        /// Where it stands.
        place: Place,
    },
    /// `let name = value`.
    Let {
        /// Where the value goes.
        slot: LetSlot,
        /// The value.
        value: Expr,
    },
    /// `if ... { } else if ... { } else { }`.
    If {
        /// Conditions with their actions, in order; null counts as false.
        arms: Vec<(Expr, Vec<Action>)>,
        /// The last `else`.
        otherwise: Vec<Action>,
    },
    /// `require condition else CODE text`.
    Require {
        /// Null counts as false.
        condition: Expr,
        /// The code of the refusal.
        code: RefusalCode,
        /// Its text (null is written as nothing).
        text: Expr,
        /// Where it stands.
        place: Place,
    },
    /// `reply Output { ... }`.
    Reply {
        /// The output stream.
        output: OutputId,
        /// A value for every column of the output, in order.
        columns: Vec<Expr>,
        /// Where it stands.
        place: Place,
    },
    /// `emit Output { ... }`.
    Emit {
        /// The output stream.
        output: OutputId,
        /// A value for every column of the output, in order.
        columns: Vec<Expr>,
        /// Where it stands.
        place: Place,
    },
}

/// The kinds of write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum WriteKind {
    /// Replace or create.
    Upsert,
    /// Refused with `conflict` when the key is there.
    Insert,
    /// The row that is there stays.
    InsertOrIgnore,
    /// Only if there, else nothing.
    Update,
}

/// What a column of a written row gets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Source {
    /// Not named: the value of the row that is there, else the column's default, else null.
    Keep,
    /// This value, of the column's type (a decimal may have another scale and is rounded half-even to the column's).
    Value(Expr),
    /// `+=` (or `-=`, negated): the value that is there, or 0 for a missing row or a null, plus this.
    Add(Expr),
    /// `-=`.
    Subtract(Expr),
}

/// Which rows of a table a `where` finds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Find {
    /// The whole key by equality, in key order, where `where` gives it. The values have the types of the key columns
    /// (decimals: any scale; a value that the column's scale cannot hold finds nothing). A null finds nothing.
    pub key: Option<Vec<Expr>>,
    /// The partition values by equality, in the order of `partition_by`.
    pub partition: Vec<Expr>,
    /// What must be true of the row beyond `key` (or beyond `partition` where there is no `key`), with the row in
    /// variable `row`.
    pub filter: Option<Expr>,
    /// The row variable of the row under test, and for `read` of the row found.
    pub row: RowSlot,
}

/// Why a request was refused: what the asker may do about it is told by the code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusalCode {
    /// The request itself is wrong; do not repeat it. HTTP 400.
    Invalid,
    /// What it needs is not there. HTTP 404.
    NotFound,
    /// It contradicts what is there. HTTP 409.
    Conflict,
    /// It is not allowed. HTTP 403.
    Denied,
    /// Not now; repeat it later. HTTP 503.
    Unavailable,
    /// The request is a repeat of one that is forgotten: whether that took effect is not known, and nothing was done
    /// now. Only the engine says so, no rule. HTTP 409.
    Unknown,
}

impl RefusalCode {
    /// All codes.
    pub const ALL: [RefusalCode; 6] = [
        RefusalCode::Invalid,
        RefusalCode::NotFound,
        RefusalCode::Conflict,
        RefusalCode::Denied,
        RefusalCode::Unavailable,
        RefusalCode::Unknown,
    ];

    /// The codes that a rule may refuse with.
    pub const OF_RULES: [RefusalCode; 5] = [
        RefusalCode::Invalid,
        RefusalCode::NotFound,
        RefusalCode::Conflict,
        RefusalCode::Denied,
        RefusalCode::Unavailable,
    ];

    /// The word for it in flow files, JSON and tables.
    pub fn name(self) -> &'static str {
        match self {
            RefusalCode::Invalid => "invalid",
            RefusalCode::NotFound => "not_found",
            RefusalCode::Conflict => "conflict",
            RefusalCode::Denied => "denied",
            RefusalCode::Unavailable => "unavailable",
            RefusalCode::Unknown => "unknown",
        }
    }
}
