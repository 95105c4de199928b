//! The file, its header, and the items but tables and rules.

use super::recover::List;
use super::{Parsed, Parser, Reported, habits};
use crate::ast::{
    Direction, Enum, Expr, ExprKind, Field, Fields, File, Item, Name, Policy, Schema, Setting, SettingKind,
    Shape, Stream, TypeKind, TypeName,
};
use crate::diagnostic::Diagnostic;
use crate::lexer::Kind;
use crate::span::Span;
use crate::suggest::closest;

const FIELDS: List = List { close: Kind::CloseBrace, element: "field", next: "`,` or `}`", whole: false };
const VALUES: List = List { close: Kind::CloseParen, element: "value", next: "`,` or `)`", whole: false };

/// The types with their words.
const TYPES: [(&str, TypeKind); 9] = [
    ("bool", TypeKind::Bool),
    ("int", TypeKind::Int),
    ("float", TypeKind::Float),
    ("decimal", TypeKind::Decimal(None)),
    ("text", TypeKind::Text),
    ("bytes", TypeKind::Bytes),
    ("time", TypeKind::Time),
    ("duration", TypeKind::Duration),
    ("json", TypeKind::Json),
];

impl Parser<'_> {
    pub(super) fn file(&mut self) -> File {
        let (flow, revision) = self.header();
        let mut items = Vec::new();
        while !self.is(Kind::End) {
            let start = self.at;
            match self.item() {
                Ok(item) => items.push(item),
                Err(Reported) => self.skip_foreign_item(start),
            }
        }
        File { flow, revision, items }
    }

    /// Skips what began no item; of a piece in another language one word is enough to say.
    fn skip_foreign_item(&mut self, start: usize) {
        let foreign = self.diagnostics.last_code() == Some("F014");
        self.skip_to_item(start);
        if foreign {
            let first = self.tokens[start].span.end;
            self.diagnostics.forget(first..self.token().span.start);
        }
    }

    /// `flow NAME revision INT`
    fn header(&mut self) -> (Option<Name>, Option<(i64, Span)>) {
        let mistyped =
            !self.is_word("flow") && self.is(Kind::Word) && closest(self.here(), ["flow"]).is_some();
        if mistyped && matches!(self.ahead(1).kind, Kind::Word | Kind::Quoted) {
            self.expected("`flow`", &["flow"]);
            self.bump();
        } else if self.eat_word("flow").is_none() {
            let message = "a flow file begins with its name and revision";
            let diagnostic = Diagnostic::error(
                "F002",
                Span::new(self.gap().start as usize, self.gap().start as usize),
                message,
            );
            self.report(diagnostic.help("write `flow NAME revision 1` above everything else"));
            return (None, None);
        }
        let Ok(flow) = self.name("a name for the flow") else {
            self.skip_until(|parser, _| parser.at_item());
            return (None, None);
        };
        let revision = self.revision(&flow);
        if revision.is_none() && !self.at_item() {
            self.skip_until(|parser, _| parser.at_item());
        }
        (Some(flow), revision)
    }

    fn revision(&mut self, flow: &Name) -> Option<(i64, Span)> {
        if self.is_word("revision") || (self.is(Kind::Word) && closest(self.here(), ["revision"]).is_some()) {
            self.expect_word("revision").ok()?;
            return self.int("the number of the revision").ok();
        }
        let message = format!("flow `{}` has no revision", flow.text);
        let diagnostic = Diagnostic::error("F002", self.gap(), message).here("expected `revision`");
        self.report(
            diagnostic.help(format!("write `flow {} revision 1`, and one more with every change", flow.text)),
        );
        None
    }

    fn item(&mut self) -> Parsed<Item> {
        let start = self.token().span;
        if !self.is(Kind::Word) {
            return Err(self.no_item());
        }
        match self.here().to_ascii_lowercase().as_str() {
            "schema" => self.schema(start).map(Item::Schema),
            "enum" => self.enumeration(start).map(Item::Enum),
            "policy" => self.policy(start).map(Item::Policy),
            "input" => self.stream(start, Direction::Input).map(Item::Stream),
            "output" => self.stream(start, Direction::Output).map(Item::Stream),
            "table" => self.table(start).map(Item::Table),
            "on" => self.rule(start).map(Item::Rule),
            word => {
                if let Some(&(_, help)) = habits::PLANNED_ITEMS.iter().find(|(planned, _)| *planned == word) {
                    return Err(self.planned(start, word, help));
                }
                match closest(word, habits::ITEM_WORDS) {
                    Some(meant) if matches!(self.ahead(1).kind, Kind::Word | Kind::Quoted) => {
                        self.mistyped(start, meant)
                    }
                    _ => Err(self.no_item()),
                }
            }
        }
    }

    /// Reports a mistyped item word and reads the item that was meant.
    fn mistyped(&mut self, start: Span, meant: &str) -> Parsed<Item> {
        let message = format!("`{}` does not begin anything", self.here());
        self.report(Diagnostic::error("F014", start, message).help(format!("did you mean `{meant}`?")));
        match meant {
            "schema" => self.schema(start).map(Item::Schema),
            "enum" => self.enumeration(start).map(Item::Enum),
            "policy" => self.policy(start).map(Item::Policy),
            "input" => self.stream(start, Direction::Input).map(Item::Stream),
            "output" => self.stream(start, Direction::Output).map(Item::Stream),
            "table" => self.table(start).map(Item::Table),
            _ => self.rule(start).map(Item::Rule),
        }
    }

    /// F012 or F014: this begins no item.
    fn no_item(&mut self) -> Reported {
        let span = self.token().span;
        if matches!(self.kind(), Kind::CloseBrace | Kind::CloseParen) {
            let message = format!("this `{}` closes nothing", self.here());
            let help = "take it out, or look above for the sign that should open it";
            return self.report(Diagnostic::error("F012", span, message).help(help));
        }
        if self.after_junk() {
            return Reported;
        }
        let word = self.here().to_ascii_lowercase();
        let message = format!("{} does not begin anything", self.found());
        let diagnostic = Diagnostic::error("F014", span, message);
        let help = match habits::foreign_item(&word) {
            Some(help) => help,
            None if self.is_word("flow") => "a file holds one flow; put the other into a file of its own",
            None if self.is_action_word() => "an action stands in a rule: `on INPUT as x { ... }`",
            None => "here begins a `schema`, `enum`, `policy`, `input`, `output`, `table` or a rule, `on`",
        };
        self.report(diagnostic.help(help))
    }

    fn is_action_word(&self) -> bool {
        habits::ACTIONS.iter().any(|word| self.is_word(word))
    }

    /// F018: not there yet.
    pub(super) fn planned(&mut self, span: Span, what: &str, help: &str) -> Reported {
        let message = format!("`{what}` is planned, but not there yet");
        self.report(Diagnostic::error("F018", span, message).help(help))
    }

    fn schema(&mut self, start: Span) -> Parsed<Schema> {
        self.bump();
        let name = self.name("a name for the schema")?;
        if let Some(colon) = self.eat(Kind::Colon).or_else(|| self.eat(Kind::Equal)) {
            let diagnostic = Diagnostic::error(
                "F001",
                colon.span,
                format!("expected `{{`, found `{}`", self.text_of(colon)),
            );
            self.report(diagnostic.help(format!("leave it out: `schema {} {{ ... }}`", name.text)));
        }
        let fields = self.fields()?;
        Ok(Schema { name, fields, span: self.since(start) })
    }

    pub(super) fn fields(&mut self) -> Parsed<Fields> {
        if self.is(Kind::OpenParen) {
            let diagnostic = Diagnostic::error("F001", self.token().span, "expected `{`, found `(`");
            return Err(self.report(diagnostic.help("fields stand in braces: `{ name: text, value: int? }`")));
        }
        let open = self.expect(Kind::OpenBrace, "`{`")?;
        let fields = self.list(open, &FIELDS, Self::field)?;
        Ok(Fields { fields, span: self.since(open.span) })
    }

    /// `name: type default literal`
    fn field(&mut self) -> Parsed<Field> {
        let start = self.token().span;
        let name = self.name("a field's name")?;
        if self.eat(Kind::Colon).is_none() {
            let sql = matches!(self.kind(), Kind::Word) && !self.first_on_line();
            if !sql {
                return Err(self.expected("`:` and the field's type", &[]));
            }
            self.missing_colon(&name);
        }
        let mut ty = self.type_name()?;
        self.column_constraints(&name, &mut ty);
        let default = if self.is(Kind::Equal) {
            let help = format!(
                "a column's default is written `{}: {} default ...`",
                name.text,
                self.written(ty.span)
            );
            self.report(
                Diagnostic::error("F001", self.token().span, "expected `default`, found `=`").help(help),
            );
            self.bump();
            Some(self.default_value()?)
        } else if self.eat_word("default").is_some() {
            Some(self.default_value()?)
        } else {
            None
        };
        self.column_constraints(&name, &mut ty);
        Ok(Field { name, ty, default, span: self.since(start) })
    }

    /// `name type`, as in SQL; that the type may be SQL's too is said by the same help.
    fn missing_colon(&mut self, name: &Name) {
        let word = self.here();
        let ours = habits::foreign_type(word).map_or(word, |(ours, _)| ours);
        let message = format!("expected `:`, found {}", self.found());
        let help = format!("a field is `name: type`: `{}: {ours}`", name.text);
        self.report(Diagnostic::error("F001", self.token().span, message).here("expected `:`").help(help));
    }

    /// What SQL writes after a type: said, taken, and where it changes the type understood.
    fn column_constraints(&mut self, name: &Name, ty: &mut TypeName) {
        loop {
            let start = self.token().span;
            let (words, help) = if self.is_word("not") && self.ahead_is_word(1, "null") {
                (2, "leave it out: a column is not null unless its type ends in `?`".to_owned())
            } else if self.is_word("null") {
                ty.nullable = true;
                (1, "a column that may be null has a `?` after its type: `text?`".to_owned())
            } else if self.is_word("primary") && self.ahead_is_word(1, "key") {
                (2, format!("the key stands in the table: `table T: SHAPE {{ key {} }}`", name.text))
            } else if self.is_word("unique") {
                (1, "only the key of a table is unique".to_owned())
            } else {
                return;
            };
            self.skip(words);
            let span = self.since(start);
            let written = self.text[span.range()].to_lowercase();
            let message = format!("`{written}` is SQL, not of the flow language");
            self.report(Diagnostic::error("F020", span, message).help(help));
        }
    }

    fn default_value(&mut self) -> Parsed<Expr> {
        if let Some(sign) = self.eat(Kind::Equal).or_else(|| self.eat(Kind::Colon)) {
            let message = format!("expected a literal, found `{}`", self.text_of(sign));
            self.report(Diagnostic::error("F001", sign.span, message).help("leave it out: `default 0`"));
        }
        let start = self.token().span;
        if self.is(Kind::Quoted) {
            return Ok(self.text_in_double_quotes());
        }
        if let Some(literal) = self.literal() {
            return Ok(literal);
        }
        if self.eat(Kind::Minus).is_some()
            && let Some(literal) = self.literal()
        {
            return Ok(Expr { kind: ExprKind::Negate(Box::new(literal)), span: self.since(start) });
        }
        Err(self.expected("a literal", &[]))
    }

    /// F010: `"text"` where only a text can stand; taken for the text.
    pub(super) fn text_in_double_quotes(&mut self) -> Expr {
        let token = self.bump();
        let text = self.name_of(token);
        let help = format!("write `'{}'`", text.replace('\'', "''"));
        let message = "double quotes make a name, here belongs a text";
        self.report(Diagnostic::error("F005", token.span, message).help(help));
        Expr { kind: ExprKind::Literal(crate::ast::Literal::Text(text)), span: token.span }
    }

    pub(super) fn type_name(&mut self) -> Parsed<TypeName> {
        let start = self.token().span;
        if self.is(Kind::Quoted) {
            let name = self.name("a type")?;
            return Ok(self.type_end(TypeKind::Named(name.text), start));
        }
        if !self.is(Kind::Word) || habits::is_reserved(self.here()) {
            return Err(self.expected("a type", &[]));
        }
        let word = self.here();
        let known = TYPES.iter().find(|(name, _)| word.eq_ignore_ascii_case(name));
        let kind = match known {
            Some((_, TypeKind::Decimal(_))) => {
                self.bump();
                TypeKind::Decimal(self.decimal_digits()?)
            }
            Some((_, kind)) => {
                self.bump();
                self.no_length(word)?;
                kind.clone()
            }
            None => self.named_type()?,
        };
        Ok(self.type_end(kind, start))
    }

    fn type_end(&mut self, kind: TypeKind, start: Span) -> TypeName {
        let nullable = self.eat(Kind::Question).is_some();
        TypeName { kind, nullable, span: self.since(start) }
    }

    /// A type of another language is reported and taken for ours, unless the file declares an enum of that name.
    fn named_type(&mut self) -> Parsed<TypeKind> {
        let token = self.bump();
        let word = self.text_of(token);
        let declared = self.enums.contains(word);
        let Some((meant, kind)) = habits::foreign_type(word).filter(|_| !declared) else {
            return Ok(TypeKind::Named(word.to_owned()));
        };
        let kind = match kind {
            TypeKind::Decimal(_) => TypeKind::Decimal(self.decimal_digits()?),
            kind => {
                if let Some(open) = self.eat(Kind::OpenParen) {
                    self.skip_until(|parser, _| matches!(parser.kind(), Kind::CloseParen | Kind::CloseBrace));
                    if self.eat(Kind::CloseParen).is_none() {
                        return Err(self.unclosed(open));
                    }
                }
                kind
            }
        };
        if !self.diagnostics.said_at(token.span.start) {
            let message = format!("`{word}` is not a type of the flow language");
            self.report(Diagnostic::error("F017", token.span, message).help(format!("write `{meant}`")));
        }
        Ok(kind)
    }

    /// `text(20)`: said, and taken as `text`.
    fn no_length(&mut self, word: &str) -> Parsed<()> {
        let Some(open) = self.eat(Kind::OpenParen) else { return Ok(()) };
        self.skip_until(|parser, _| matches!(parser.kind(), Kind::CloseParen | Kind::CloseBrace));
        if self.eat(Kind::CloseParen).is_none() {
            return Err(self.unclosed(open));
        }
        let message = format!("`{}` has no length", word.to_lowercase());
        let help = format!(
            "write `{}`; a limit is a rule's: `require length(x) <= 20 else invalid 'too long'`",
            word.to_lowercase()
        );
        self.report(Diagnostic::error("F017", self.since(open.span), message).help(help));
        Ok(())
    }

    fn decimal_digits(&mut self) -> Parsed<Option<(i64, i64)>> {
        let Some(open) = self.eat(Kind::OpenParen) else { return Ok(None) };
        let (precision, _) = self.int("the number of digits")?;
        if self.is(Kind::CloseParen) {
            self.bump();
            let message = "a decimal has digits and digits after the point";
            let help = format!("write `decimal({precision}, 0)`");
            self.report(Diagnostic::error("F017", self.since(open.span), message).help(help));
            return Ok(Some((precision, 0)));
        }
        self.expect(Kind::Comma, "`,`")?;
        let (scale, _) = self.int("the number of digits after the point")?;
        self.expect(Kind::CloseParen, "`)`")?;
        Ok(Some((precision, scale)))
    }

    fn enumeration(&mut self, start: Span) -> Parsed<Enum> {
        self.bump();
        let name = self.name("a name for the enum")?;
        if self.is(Kind::OpenBrace) {
            let diagnostic = Diagnostic::error("F001", self.token().span, "expected `(`, found `{`");
            let reported = self.report(
                diagnostic.help("an enum's values stand in parentheses: `enum Color ('red', 'blue')`"),
            );
            self.bump();
            self.skip_until(|parser, depth| depth == 0 && parser.is(Kind::CloseBrace));
            self.eat(Kind::CloseBrace);
            return Err(reported);
        }
        let open = self.expect(Kind::OpenParen, "`(`")?;
        let values = self.list(open, &VALUES, Self::enum_value)?;
        let span = self.since(start);
        if values.is_empty() && self.ahead_before_is_empty(open.span) {
            let message = format!("enum `{}` has no values", name.text);
            return Err(
                self.report(Diagnostic::error("F021", span, message).help("write at least one: `('new')`"))
            );
        }
        Ok(Enum { name, values, span })
    }

    /// Whether nothing stands between `open` and the token before this one.
    fn ahead_before_is_empty(&self, open: Span) -> bool {
        self.at >= 2 && self.tokens[self.at - 2].span == open
    }

    fn enum_value(&mut self) -> Parsed<Name> {
        let token = self.token();
        match token.kind {
            Kind::Text => {
                self.bump();
                let text = super::literal::unquote(self.text_of(token), '\'');
                Ok(Name { text, span: token.span })
            }
            Kind::Quoted => {
                self.text_in_double_quotes();
                Ok(Name { text: self.name_of(token), span: token.span })
            }
            Kind::Word => {
                self.bump();
                let word = self.text_of(token);
                let diagnostic =
                    Diagnostic::error("F001", token.span, format!("expected a text, found `{word}`"));
                self.report(diagnostic.help(format!("an enum's values are texts: `'{word}'`")));
                Ok(Name { text: word.to_owned(), span: token.span })
            }
            _ => Err(self.expected("a value, like `'new'`", &[])),
        }
    }

    fn stream(&mut self, start: Span, direction: Direction) -> Parsed<Stream> {
        self.bump();
        if self.is_word("stream") && matches!(self.ahead(1).kind, Kind::Word | Kind::Quoted) {
            let word = self.bump();
            let diagnostic =
                Diagnostic::error("F001", word.span, "expected a name for the stream, found `stream`");
            self.report(diagnostic.help("leave `stream` out: `input NAME: SHAPE`"));
        }
        let names = self.names("a name for the stream")?;
        let shape = self.shape()?;
        Ok(Stream { direction, names, shape, span: self.since(start) })
    }

    /// `: NAME` or `: { fields }`
    pub(super) fn shape(&mut self) -> Parsed<Shape> {
        if self.is(Kind::OpenBrace) {
            let diagnostic =
                Diagnostic::error("F001", self.gap(), "expected `:`, found `{`").here("expected `:`");
            self.report(
                diagnostic.help("a shape stands after `:`, a schema's name or fields: `NAME: { id: int }`"),
            );
            return self.fields().map(Shape::Fields);
        }
        self.expect(Kind::Colon, "`:` and a shape")?;
        match self.kind() {
            Kind::OpenBrace => self.fields().map(Shape::Fields),
            Kind::Word | Kind::Quoted => self.name("a schema's name").map(Shape::Named),
            _ => Err(self.expected("a schema's name or `{`", &[])),
        }
    }

    fn policy(&mut self, start: Span) -> Parsed<Policy> {
        self.bump();
        let name = self.name("a name for the policy")?;
        let open = self.expect(Kind::OpenBrace, "`{`")?;
        let mut settings = Vec::new();
        while self.eat(Kind::CloseBrace).is_none() {
            if self.at_item_for_sure() {
                return Err(self.unclosed(open));
            }
            let at = self.at;
            match self.setting() {
                Ok(Some(setting)) => settings.push(setting),
                Ok(None) => {}
                Err(Reported) => self.skip_to_setting(at),
            }
            self.no_comma("settings");
        }
        Ok(Policy { name, settings, span: self.since(start) })
    }

    /// Takes a comma where none belongs.
    pub(super) fn no_comma(&mut self, what: &str) {
        if let Some(comma) = self.eat(Kind::Comma) {
            let message = format!("no `,` between {what}");
            self.report(
                Diagnostic::error("F028", comma.span, message).help("leave it out: white space is enough"),
            );
        }
    }

    fn skip_to_setting(&mut self, start: usize) {
        if self.at == start && !self.is(Kind::CloseBrace) {
            self.bump();
        }
        self.skip_until(|parser, depth| {
            depth == 0
                && (parser.is(Kind::CloseBrace)
                    || habits::SETTINGS.iter().any(|setting| parser.is_word(setting)))
        });
    }

    /// One setting; nothing when it is planned (a diagnostic says so).
    fn setting(&mut self) -> Parsed<Option<Setting>> {
        let start = self.token().span;
        let word = self.setting_word()?;
        if let Some(sign) = self.eat(Kind::Equal).or_else(|| self.eat(Kind::Colon)) {
            let message = format!("no `{}` after a setting's word", self.text_of(sign));
            self.report(
                Diagnostic::error("F016", sign.span, message)
                    .help(format!("write `{word} ...` with a space")),
            );
        }
        let kind = match word {
            "partitions" => SettingKind::Partitions(self.int("a number of partitions")?.0),
            "copies" => SettingKind::Copies(self.int("a number of copies")?.0),
            "ack" if self.is(Kind::Int) => SettingKind::AckCount(self.int("a number of copies")?.0),
            "ack" => {
                self.one_of(&["all"], "`all` or a number of copies")?;
                SettingKind::AckAll
            }
            "sync" => match self.one_of(&["disk", "memory"], "`disk` or `memory`")? {
                "disk" => SettingKind::SyncDisk,
                _ => SettingKind::SyncMemory,
            },
            "split" => match self.one_of(&["consistent", "available"], "`consistent`")? {
                "consistent" => SettingKind::SplitConsistent,
                _ => {
                    return self.planned_setting(
                        start,
                        "split available",
                        "write `split consistent`, or leave it out",
                    );
                }
            },
            _ => match self.one_of(&["none", "all"], "`none`")? {
                "none" => SettingKind::SitesNone,
                _ => return self.planned_setting(start, "sites all", "write `sites none`, or leave it out"),
            },
        };
        Ok(Some(Setting { kind, span: self.since(start) }))
    }

    fn planned_setting(&mut self, start: Span, what: &str, help: &str) -> Parsed<Option<Setting>> {
        let span = self.since(start);
        self.planned(span, what, help);
        Ok(None)
    }

    fn setting_word(&mut self) -> Parsed<&'static str> {
        if let Some(word) = habits::SETTINGS.iter().find(|word| self.is_word(word)) {
            self.bump();
            return Ok(word);
        }
        if !self.is(Kind::Word) {
            return Err(self.expected("a setting or `}`", &[]));
        }
        let word = self.here();
        let meant = closest(word, habits::SETTINGS).or_else(|| habits::foreign_setting(word));
        let help = match meant {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => format!("the settings are `{}`", habits::SETTINGS.join("`, `")),
        };
        let diagnostic =
            Diagnostic::error("F016", self.token().span, format!("`{word}` is not a setting of a policy"));
        let reported = self.report(diagnostic.help(help));
        self.bump();
        meant.and_then(|meant| habits::SETTINGS.into_iter().find(|word| *word == meant)).ok_or(reported)
    }
}
