//! Words: those of the language, those that are planned, and those that other languages taught our users.

use crate::ast::TypeKind;

/// The words that begin an item, planned ones included.
pub(super) const ITEMS: [&str; 11] =
    ["flow", "schema", "enum", "policy", "input", "output", "table", "on", "queue", "view", "stream"];

/// The words that begin an item today, for "did you mean".
pub(super) const ITEM_WORDS: [&str; 7] = ["schema", "enum", "policy", "input", "output", "table", "on"];

/// Items that are planned, with what to do today.
pub(super) const PLANNED_ITEMS: [(&str, &str); 3] = [
    ("queue", "until then, keep the rows in a table and let a rule take them"),
    ("view", "until then, keep the result in a table that the rules update"),
    ("stream", "until then, write both steps into one rule on the `input`"),
];

/// The words that begin an action, planned ones included.
pub(super) const ACTIONS: [&str; 11] =
    ["upsert", "insert", "update", "delete", "read", "let", "if", "require", "emit", "reply", "call"];

/// The clauses of a table, planned ones included.
pub(super) const CLAUSES: [&str; 6] = ["key", "partition", "replicate", "index", "keep", "merge"];

/// The settings of a policy.
pub(super) const SETTINGS: [&str; 6] = ["partitions", "copies", "ack", "sync", "split", "sites"];

/// Words that cannot be names without quotes.
const RESERVED: [&str; 19] = [
    "and", "or", "not", "null", "true", "false", "case", "then", "else", "end", "is", "in", "between",
    "like", "as", "from", "where", "when", "on",
];

/// Whether the word is reserved, in any case.
pub(super) fn is_reserved(word: &str) -> bool {
    word.len() <= 7 && RESERVED.iter().any(|reserved| word.eq_ignore_ascii_case(reserved))
}

/// What to say to a word that begins an item in another language; `word` in lower case.
pub(super) fn foreign_item(word: &str) -> Option<&'static str> {
    Some(match word {
        "create" => "there is no `create`: a table is declared with `table NAME: SHAPE { key ... }`",
        "alter" | "drop" => "change the declaration and raise the flow's `revision`",
        "select" => "a question is a rule on an input, with `read` and `reply`",
        "insert" | "update" | "delete" | "upsert" => "an action stands in a rule: `on INPUT as x { ... }`",
        "begin" | "commit" | "start" | "transaction" => {
            "leave it out: a rule is applied as a whole or not at all"
        }
        "fn" | "function" | "def" | "func" | "procedure" | "macro" | "proc" => {
            "there are no functions in a flow; what belongs to one request stands in a rule, `on INPUT as x { ... }`"
        }
        "struct" | "type" | "record" | "message" | "class" | "interface" => {
            "write `schema NAME { name: type }`"
        }
        "import" | "use" | "include" | "module" | "package" => "a flow is one file; there are no modules",
        "source" | "in" => "write `input NAME: SHAPE`",
        "sink" | "out" => "write `output NAME: SHAPE`",
        "when" | "rule" | "trigger" | "event" => "a rule is `on INPUT as x { ... }`",
        "let" | "const" | "var" => "a `let` stands in a rule",
        _ => return None,
    })
}

/// What to write for an action's word of another language; `word` in lower case.
pub(super) fn foreign_action(word: &str) -> Option<&'static str> {
    Some(match word {
        "set" => "a row is written in braces: `update T { key: ..., column: value }`",
        "values" => "a row is written in braces: `insert T { column: value }`",
        "select" => "write `read T where key = ... as row or null`",
        "get" | "fetch" | "find" | "lookup" | "load" => "write `read T where key = ... as row or null`",
        "put" | "save" | "store" | "write" | "replace" | "merge" => "write `upsert T { ... }`",
        "remove" | "erase" => "write `delete T where key = ...`",
        "return" | "respond" | "answer" => "write `reply OUTPUT { ... }`",
        "send" | "publish" | "print" | "output" => {
            "write `reply OUTPUT { ... }` to the asker, `emit OUTPUT { ... }` to subscribers"
        }
        "throw" | "raise" | "assert" | "check" | "reject" | "fail" => {
            "write `require CONDITION else invalid 'why'`"
        }
        "var" | "const" | "declare" => "write `let NAME = value`",
        "for" | "while" | "loop" | "foreach" => "there are no loops; every row is a run of the rule",
        "begin" | "commit" | "rollback" => "leave it out: a rule is applied as a whole or not at all",
        "when" | "unless" => "write `if CONDITION { ... }`",
        "switch" | "match" | "case" => "write `if CONDITION { ... } else if CONDITION { ... }`",
        _ => return None,
    })
}

/// The setting that other systems call so.
pub(super) fn foreign_setting(word: &str) -> Option<&'static str> {
    Some(match word.to_ascii_lowercase().as_str() {
        "replicas" | "replication" | "replication_factor" | "replica" => "copies",
        "shards" | "buckets" => "partitions",
        "acks" | "acknowledge" | "quorum" => "ack",
        "durability" | "fsync" | "flush" => "sync",
        "zones" | "regions" => "sites",
        _ => return None,
    })
}

/// The type that other languages call so: our word and the type.
pub(super) fn foreign_type(word: &str) -> Option<(&'static str, TypeKind)> {
    Some(match word.to_ascii_lowercase().as_str() {
        "string" | "str" | "varchar" | "char" | "character" | "nvarchar" | "clob" | "uuid" => {
            ("text", TypeKind::Text)
        }
        "integer" | "bigint" | "smallint" | "tinyint" | "long" | "short" | "int64" | "int32" | "i64"
        | "i32" | "u64" | "u32" | "serial" | "bigserial" | "int8" | "int4" => ("int", TypeKind::Int),
        "double" | "real" | "float8" | "float4" | "float64" | "float32" | "f64" | "f32" => {
            ("float", TypeKind::Float)
        }
        "numeric" | "number" | "money" | "dec" => ("decimal", TypeKind::Decimal(None)),
        "boolean" | "bit" => ("bool", TypeKind::Bool),
        "timestamp" | "timestamptz" | "datetime" | "date" | "instant" => ("time", TypeKind::Time),
        "interval" | "timespan" => ("duration", TypeKind::Duration),
        "blob" | "bytea" | "binary" | "varbinary" => ("bytes", TypeKind::Bytes),
        "jsonb" | "object" | "variant" => ("json", TypeKind::Json),
        _ => return None,
    })
}
