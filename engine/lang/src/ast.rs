//! The syntax tree: what the parser makes of a flow file, with the span of every part.
//!
//! It says what was written, not what it means: names are unresolved, types unchecked, literals kept as text where
//! their meaning depends on the place (an INT may stand for a decimal). The formatter prints it back.

use crate::span::Span;

pub mod question;

/// A flow file.
#[derive(Clone, Debug, PartialEq)]
pub struct File {
    /// `flow NAME`; `None` when the header is missing or broken (a diagnostic says so).
    pub flow: Option<Name>,
    /// `revision INT`.
    pub revision: Option<(i64, Span)>,
    /// The items in order; broken ones are left out (a diagnostic says so).
    pub items: Vec<Item>,
}

/// A name as written, quotes removed.
#[derive(Clone, Debug, PartialEq)]
pub struct Name {
    /// The name itself.
    pub text: String,
    /// Where it stands, with its quotes.
    pub span: Span,
}

/// One item of a file.
#[derive(Clone, Debug, PartialEq)]
pub enum Item {
    /// `schema NAME { ... }`
    Schema(Schema),
    /// `enum NAME ( ... )`
    Enum(Enum),
    /// `policy NAME { ... }`
    Policy(Policy),
    /// `input NAMES: shape` or `output NAMES: shape`
    Stream(Stream),
    /// `table NAMES: shape { ... }`
    Table(Table),
    /// `on INPUT as NAME ... { ... }`
    Rule(Rule),
}

/// `schema NAME { fields }`
#[derive(Clone, Debug, PartialEq)]
pub struct Schema {
    /// Its name.
    pub name: Name,
    /// Its fields.
    pub fields: Fields,
    /// The whole item.
    pub span: Span,
}

/// `{ name: type default ..., ... }`
#[derive(Clone, Debug, PartialEq)]
pub struct Fields {
    /// The fields in order.
    pub fields: Vec<Field>,
    /// With the braces.
    pub span: Span,
}

/// One field.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    /// Its name.
    pub name: Name,
    /// Its type.
    pub ty: TypeName,
    /// `default` literal: an [`ExprKind::Literal`], or [`ExprKind::Negate`] of one.
    pub default: Option<Expr>,
    /// The whole field.
    pub span: Span,
}

/// A type as written.
#[derive(Clone, Debug, PartialEq)]
pub struct TypeName {
    /// Which.
    pub kind: TypeKind,
    /// Whether `?` follows.
    pub nullable: bool,
    /// The whole, with the `?`.
    pub span: Span,
}

/// The types a file can write.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "the words of the language")]
pub enum TypeKind {
    Bool,
    Int,
    Float,
    /// `decimal` or `decimal(precision, scale)`.
    Decimal(Option<(i64, i64)>),
    Text,
    Bytes,
    Time,
    Duration,
    Json,
    /// An enum's name.
    Named(String),
}

/// A schema's name, or fields in place.
#[derive(Clone, Debug, PartialEq)]
pub enum Shape {
    /// `: NAME`
    Named(Name),
    /// `: { ... }`
    Fields(Fields),
}

/// `enum NAME ( 'a', 'b' )`
#[derive(Clone, Debug, PartialEq)]
pub struct Enum {
    /// Its name.
    pub name: Name,
    /// The values, quotes removed.
    pub values: Vec<Name>,
    /// The whole item.
    pub span: Span,
}

/// `policy NAME { ... }`
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// Its name.
    pub name: Name,
    /// Its settings in order.
    pub settings: Vec<Setting>,
    /// The whole item.
    pub span: Span,
}

/// One setting of a policy.
#[derive(Clone, Debug, PartialEq)]
pub struct Setting {
    /// Which, with its value.
    pub kind: SettingKind,
    /// Word and value.
    pub span: Span,
}

/// The settings. Values are as written; the checker refuses zeros and the like.
#[derive(Clone, Debug, PartialEq)]
pub enum SettingKind {
    /// `partitions INT`
    Partitions(i64),
    /// `copies INT`
    Copies(i64),
    /// `ack all`
    AckAll,
    /// `ack INT`
    AckCount(i64),
    /// `sync disk`
    SyncDisk,
    /// `sync memory`
    SyncMemory,
    /// `split consistent`
    SplitConsistent,
    /// `sites none`
    SitesNone,
}

/// `input NAMES: shape` or `output NAMES: shape`
#[derive(Clone, Debug, PartialEq)]
pub struct Stream {
    /// Which way.
    pub direction: Direction,
    /// The names declared together.
    pub names: Vec<Name>,
    /// Their shape.
    pub shape: Shape,
    /// The whole item.
    pub span: Span,
}

/// Which way a stream goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Requests enter.
    Input,
    /// Answers leave.
    Output,
}

/// `table NAMES: shape { clauses }`
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    /// The names declared together.
    pub names: Vec<Name>,
    /// Their shape.
    pub shape: Shape,
    /// Their clauses in order.
    pub clauses: Vec<Clause>,
    /// The whole item.
    pub span: Span,
}

/// A clause of a table.
#[derive(Clone, Debug, PartialEq)]
pub struct Clause {
    /// Which.
    pub kind: ClauseKind,
    /// The whole clause.
    pub span: Span,
}

/// The clauses that run today.
#[derive(Clone, Debug, PartialEq)]
pub enum ClauseKind {
    /// `key NAMES`
    Key(Vec<Name>),
    /// `partition by NAMES`
    PartitionBy(Vec<Name>),
    /// `replicate NAME`
    Replicate(Name),
}

/// `on EVENT as NAME [route ...] [where ...] { ... }`
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// The input stream.
    pub event: Name,
    /// The row's name.
    pub alias: Name,
    /// The route, when written.
    pub route: Option<Route>,
    /// `where`.
    pub filter: Option<Expr>,
    /// The actions.
    pub block: Block,
    /// The whole item.
    pub span: Span,
}

/// A written route.
#[derive(Clone, Debug, PartialEq)]
pub struct Route {
    /// Which.
    pub kind: RouteKind,
    /// The whole.
    pub span: Span,
}

/// The kinds of route.
#[derive(Clone, Debug, PartialEq)]
pub enum RouteKind {
    /// `route by a, b`
    By(Vec<Expr>),
    /// `route to expr`
    To(Expr),
}

/// `{ actions }`
#[derive(Clone, Debug, PartialEq)]
pub struct Block {
    /// In order.
    pub actions: Vec<Action>,
    /// With the braces.
    pub span: Span,
}

/// One action.
#[derive(Clone, Debug, PartialEq)]
pub struct Action {
    /// Which.
    pub kind: ActionKind,
    /// The whole action.
    pub span: Span,
}

/// The actions that run today.
#[derive(Clone, Debug, PartialEq)]
pub enum ActionKind {
    /// `upsert T row`
    Upsert(Name, RowExpr),
    /// `insert T row`
    Insert(Name, RowExpr),
    /// `insert or ignore T row`
    InsertOrIgnore(Name, RowExpr),
    /// `update T row`
    Update(Name, RowExpr),
    /// `delete T where expr`
    Delete(Name, Expr),
    /// `read T where expr as NAME or null`
    Read {
        /// The table.
        table: Name,
        /// Its `where`.
        filter: Expr,
        /// The row's name.
        alias: Name,
    },
    /// `let NAME = expr`
    Let(Name, Expr),
    /// `if expr block { else if expr block } [else block]`
    If {
        /// Conditions with their blocks.
        arms: Vec<(Expr, Block)>,
        /// The last `else`.
        otherwise: Option<Block>,
    },
    /// `require expr else CODE text`
    Require {
        /// What must be true.
        condition: Expr,
        /// The code's word.
        code: Name,
        /// The refusal's text.
        text: Expr,
    },
    /// `emit OUTPUT row`
    Emit(Name, RowExpr),
    /// `reply OUTPUT row`
    Reply(Name, RowExpr),
}

/// A row to write or send.
#[derive(Clone, Debug, PartialEq)]
pub struct RowExpr {
    /// Its parts; a bare `NAME` is one [`PartKind::Spread`] with `bare` set.
    pub parts: Vec<Part>,
    /// Whether it was written as a bare `NAME`.
    pub bare: bool,
    /// The whole.
    pub span: Span,
}

/// One part of a row.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    /// Which.
    pub kind: PartKind,
    /// The whole part.
    pub span: Span,
}

/// The parts of a row.
#[derive(Clone, Debug, PartialEq)]
pub enum PartKind {
    /// `..NAME`
    Spread(Name),
    /// `NAME: expr`
    Set(Name, Expr),
    /// `NAME += expr`
    Add(Name, Expr),
    /// `NAME -= expr`
    Subtract(Name, Expr),
}

/// An expression.
#[derive(Clone, Debug, PartialEq)]
pub struct Expr {
    /// Which.
    pub kind: ExprKind,
    /// The whole, without parentheses around it.
    pub span: Span,
}

/// The kinds of expression.
#[derive(Clone, Debug, PartialEq)]
pub enum ExprKind {
    /// A constant.
    Literal(Literal),
    /// `name` or `alias.name`.
    Name(Option<Name>, Name),
    /// `(expr)`; kept for the formatter.
    Paren(Box<Expr>),
    /// `a and b`
    And(Box<Expr>, Box<Expr>),
    /// `a or b`
    Or(Box<Expr>, Box<Expr>),
    /// `not a`
    Not(Box<Expr>),
    /// `a = b` and its like.
    Compare(anabranch_model::Comparison, Box<Expr>, Box<Expr>),
    /// `a is [not] null`: operand, whether `not`.
    IsNull(Box<Expr>, bool),
    /// `a [not] in (b, c)`: operand, list, whether `not`.
    In(Box<Expr>, Vec<Expr>, bool),
    /// `a [not] between low and high`: operand, low, high, whether `not`.
    Between(Box<Expr>, Box<Expr>, Box<Expr>, bool),
    /// `a [not] like pattern`: operand, pattern, whether `not`.
    Like(Box<Expr>, Box<Expr>, bool),
    /// `a + b` and its like.
    Binary(anabranch_model::Operator, Box<Expr>, Box<Expr>),
    /// `-a` (before an INT literal the parser makes a negative [`Literal::Int`] instead).
    Negate(Box<Expr>),
    /// `case when ... then ... else ... end`
    Case {
        /// Conditions with their results.
        arms: Vec<(Expr, Expr)>,
        /// `else`.
        otherwise: Option<Box<Expr>>,
    },
    /// `cast(a as type)`
    Cast(Box<Expr>, TypeName),
    /// `name(a, b)`; the name is not yet known to exist.
    Call(Name, Vec<Expr>),
    /// `count(*)`, `sum(a)`, `count(distinct a)`; in questions only. The argument is none for `*`.
    Aggregate {
        /// Which.
        kind: anabranch_model::question::AggregateKind,
        /// Whether equal values count once.
        distinct: bool,
        /// Over what.
        argument: Option<Box<Expr>>,
    },
}

/// A constant as written.
#[derive(Clone, Debug, PartialEq)]
pub enum Literal {
    /// Digits, `_` removed, with the `-` before them.
    Int(i64),
    /// `1.5` as written, `_` removed.
    Decimal(String),
    /// `1.5e0` as written.
    Float(String),
    /// Text, quotes and doubling removed.
    Text(String),
    /// Microseconds, and as written (`5m`).
    Duration(i64, String),
    /// `true`, `false`
    Bool(bool),
    /// `null`
    Null,
}
