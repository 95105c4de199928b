//! A plan for people: what `anabranch plan FILE` prints. Names instead of numbers, expressions in the language again.
//!
//! The input row is called `row`, the rows that are read `row1`, `row2` and so on, `let`s `let0`, `let1` and so on:
//! a plan does not keep the names that the file gave them.
//!
//! ```
//! let compiled = anabranch_lang::compile("echo.flow", "
//!     flow echo revision 1
//!     input  Ask: { text: text }
//!     output Say: { text: text }
//!     on Ask as a { reply Say { text: upper(a.text) } }
//! ");
//! let plan = compiled.plan.expect("it compiles");
//! assert!(anabranch_lang::describe(&plan).contains("reply Say { text: upper(row.text) }"));
//! ```

use std::sync::Arc;

use anabranch_model::plan::{
    Ack, Action, Find, Plan, Policy, Route, Source, Step, Sync, Table, TableId, WriteKind,
};
use anabranch_model::types::{Column, Shape};
use anabranch_model::{ColumnId, Expr};

use crate::check::print::{Names, print_expr, print_value, quoted_name, quoted_text, type_name};

/// The plan as text, with a line for every column, setting and action.
pub fn describe(plan: &Plan) -> String {
    let mut page = Page::default();
    page.line(0, format!("flow {} revision {}", quoted_name(&plan.name), plan.revision));
    page.gap();
    for of in &plan.enums {
        let values: Vec<_> = of.values.iter().map(|value| quoted_text(value)).collect();
        page.line(0, format!("enum {} ({})", quoted_name(&of.name), values.join(", ")));
    }
    page.gap();
    for (word, streams) in [("input", &plan.inputs), ("output", &plan.outputs)] {
        for stream in streams {
            page.line(0, format!("{word} {}", quoted_name(&stream.name)));
            page.columns(&stream.shape);
            page.gap();
        }
    }
    for table in &plan.tables {
        page.table(table);
        page.gap();
    }
    for (input, step) in plan.inputs.iter().zip(&plan.steps) {
        page.text.push_str(&describe_step(plan, &input.name, step));
        page.gap();
    }
    page.text.truncate(page.text.trim_end().len());
    page.text.push('\n');
    page.text
}

/// One step as text; equal texts mean equal steps, wherever they stand in a file.
pub(crate) fn describe_step(plan: &Plan, input: &str, step: &Step) -> String {
    let mut page = Page::default();
    let walk = StepPage { plan, step };
    page.line(0, format!("on {}", quoted_name(input)));
    page.line(1, walk.route());
    if step.undo {
        page.line(1, "undo: something can refuse the step after its first write".to_owned());
    }
    for rule in &step.rules {
        page.line(
            1,
            match &rule.filter {
                Some(filter) => format!("rule where {}", walk.expr(filter)),
                None => "rule".to_owned(),
            },
        );
        walk.actions(&rule.actions, 2, &mut page);
    }
    page.text
}

#[derive(Default)]
struct Page {
    text: String,
}

impl Page {
    fn line(&mut self, depth: usize, text: String) {
        self.text.push_str(&"  ".repeat(depth));
        self.text.push_str(&text);
        self.text.push('\n');
    }

    /// One empty line.
    fn gap(&mut self) {
        self.text.truncate(self.text.trim_end().len());
        self.text.push_str("\n\n");
    }

    /// The columns with their types in one line.
    fn columns(&mut self, shape: &Shape) {
        let names: Vec<_> = shape.columns().iter().map(|column| quoted_name(&column.name)).collect();
        let widest = names.iter().map(|name| name.chars().count()).max().unwrap_or_default();
        for (name, column) in names.iter().zip(shape.columns()) {
            self.line(1, format!("{name:<widest$}  {}", column_type(column)));
        }
    }

    fn table(&mut self, table: &Table) {
        self.line(0, format!("table {}", quoted_name(&table.name)));
        self.columns(&table.shape);
        self.line(1, format!("key {}", column_names(&table.shape, &table.key)));
        self.line(1, format!("partition by {}", column_names(&table.shape, &table.partition_by)));
        self.line(1, policy_text(&table.policy));
    }
}

/// The type of a column with its `?` and its default.
pub(crate) fn column_type(column: &Column) -> String {
    let optional = if column.nullable { "?" } else { "" };
    let default = column.default.as_ref();
    let default = default.map(|value| format!(" default {}", print_value(value, &column.ty)));
    format!("{}{optional}{}", type_name(&column.ty), default.unwrap_or_default())
}

/// Names of columns with commas.
pub(crate) fn column_names(shape: &Shape, columns: &[ColumnId]) -> String {
    let names: Vec<_> = columns.iter().map(|&id| column_name(shape, id)).collect();
    names.join(", ")
}

fn column_name(shape: &Shape, id: ColumnId) -> String {
    shape
        .columns()
        .get(usize::from(id.0))
        .map_or_else(|| format!("column{}", id.0), |of| quoted_name(&of.name))
}

/// The settings of a policy in one line.
pub(crate) fn policy_text(policy: &Policy) -> String {
    let sync = match policy.sync {
        Sync::Disk => "disk",
        Sync::Memory => "memory",
    };
    let (partitions, copies) = (policy.partitions, policy.copies);
    format!(
        "partitions {partitions}  copies {copies}  ack {}  sync {sync}  split consistent  sites none",
        ack_text(policy.ack)
    )
}

pub(crate) fn ack_text(ack: Ack) -> String {
    match ack {
        Ack::All => "all".to_owned(),
        Ack::Count(count) => count.to_string(),
    }
}

struct StepPage<'p> {
    plan: &'p Plan,
    step: &'p Step,
}

impl StepPage<'_> {
    fn names(&self) -> [String; 1] {
        ["row".to_owned()]
    }

    fn expr(&self, expr: &Expr) -> String {
        let rows = self.names();
        print_expr(expr, &Names { rows: &rows, lets: &[], shapes: &self.step.rows, candidate: None })
    }

    fn route(&self) -> String {
        match &self.step.route {
            Route::Entry => "route: stays where the row enters".to_owned(),
            Route::Node(node) => format!("route to {}", self.expr(node)),
            Route::Hash { by, .. } => {
                let by: Vec<_> = by.iter().map(|value| self.expr(value)).collect();
                format!("route by {}", by.join(", "))
            }
        }
    }

    fn actions(&self, actions: &[Action], depth: usize, page: &mut Page) {
        for action in actions {
            self.action(action, depth, page);
        }
    }

    fn action(&self, action: &Action, depth: usize, page: &mut Page) {
        let line = match action {
            Action::If { arms, otherwise } => return self.choice(arms, otherwise, depth, page),
            Action::Write { kind, table, columns, .. } => self.write(*kind, *table, columns),
            Action::Delete { table, find, .. } => {
                let how = if find.key.is_some() { "by key" } else { "within the partition" };
                format!("delete {} where {}  -- {how}", self.table(*table).0, self.find(*table, find))
            }
            Action::Read { table, find, .. } => {
                let filter = self.find(*table, find);
                format!("read {} where {filter} as row{} or null", self.table(*table).0, find.row.0)
            }
            Action::Let { slot, value } => format!("let let{} = {}", slot.0, self.expr(value)),
            Action::Require { condition, code, text, .. } => {
                format!("require {} else {} {}", self.expr(condition), code.name(), self.expr(text))
            }
            Action::Reply { output, columns, .. } => self.send("reply", usize::from(output.0), columns),
            Action::Emit { output, columns, .. } => self.send("emit", usize::from(output.0), columns),
        };
        page.line(depth, line);
    }

    fn choice(&self, arms: &[(Expr, Vec<Action>)], otherwise: &[Action], depth: usize, page: &mut Page) {
        for (at, (condition, actions)) in arms.iter().enumerate() {
            let word = if at == 0 { "if" } else { "else if" };
            page.line(depth, format!("{word} {}", self.expr(condition)));
            self.actions(actions, depth + 1, page);
        }
        if !otherwise.is_empty() {
            page.line(depth, "else".to_owned());
            self.actions(otherwise, depth + 1, page);
        }
    }

    /// The name and shape of a table; a plan from elsewhere may lack it.
    fn table(&self, id: TableId) -> (String, Arc<Shape>) {
        match self.plan.tables.get(usize::from(id.0)) {
            Some(table) => (quoted_name(&table.name), table.shape.clone()),
            None => (format!("table{}", id.0), Arc::new(Shape::new(Vec::new()))),
        }
    }

    fn write(&self, kind: WriteKind, table: TableId, columns: &[Source]) -> String {
        let word = match kind {
            WriteKind::Upsert => "upsert",
            WriteKind::Insert => "insert",
            WriteKind::InsertOrIgnore => "insert or ignore",
            WriteKind::Update => "update",
        };
        let (name, shape) = self.table(table);
        let part = |(at, source): (usize, &Source)| {
            let column = column_name(&shape, ColumnId(at as u16));
            match source {
                Source::Keep => None,
                Source::Value(value) => Some(format!("{column}: {}", self.expr(value))),
                Source::Add(value) => Some(format!("{column} += {}", self.expr(value))),
                Source::Subtract(value) => Some(format!("{column} -= {}", self.expr(value))),
            }
        };
        let parts: Vec<_> = columns.iter().enumerate().filter_map(part).collect();
        format!("{word} {name} {{ {} }}", parts.join(", "))
    }

    fn send(&self, word: &str, output: usize, columns: &[Expr]) -> String {
        let Some(stream) = self.plan.outputs.get(output) else { return format!("{word} output{output}") };
        let names = stream.shape.columns().iter().map(|column| quoted_name(&column.name));
        let parts: Vec<_> =
            names.zip(columns).map(|(name, value)| format!("{name}: {}", self.expr(value))).collect();
        format!("{word} {} {{ {} }}", quoted_name(&stream.name), parts.join(", "))
    }

    /// The `where`, put together again.
    fn find(&self, table: TableId, find: &Find) -> String {
        let (_, shape) = self.table(table);
        let table = self.plan.tables.get(usize::from(table.0));
        let columns = table.map(|table| if find.key.is_some() { &table.key } else { &table.partition_by });
        let values = find.key.as_ref().unwrap_or(&find.partition);
        let fixed = columns.into_iter().flatten().zip(values);
        let mut parts: Vec<_> =
            fixed.map(|(&id, value)| format!("{} = {}", column_name(&shape, id), self.expr(value))).collect();
        if let Some(filter) = &find.filter {
            let rows = self.names();
            let names = Names { rows: &rows, lets: &[], shapes: &self.step.rows, candidate: Some(find.row) };
            let text = print_expr(filter, &names);
            let bare = matches!(filter.kind, anabranch_model::ExprKind::Or(_));
            parts.push(if bare { format!("({text})") } else { text });
        }
        parts.join(" and ")
    }
}
