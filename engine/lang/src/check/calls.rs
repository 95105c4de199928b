//! Calls of built-in functions.

use anabranch_model::function::{Nulls, Parameter, ParameterKind, ResultType};
use anabranch_model::{Expr, ExprKind, Function, Type, Value};

use crate::ast;
use crate::diagnostic::Diagnostic;
use crate::span::Span;
use crate::suggest;

use super::conversions::same_kind;
use super::rule::RuleChecker;
use super::scope::Blocker;
use super::shapes::with_article;
use super::{conversions, literal};

/// The functions that take nothing and ask the step.
const STEP_FUNCTIONS: [&str; 5] = ["node", "source", "now", "revision", "uuid"];
/// Whether a call of `name` with literals has the type that is wanted of it.
pub(super) fn follows_arguments(name: &str) -> bool {
    Function::by_name(name)
        .is_some_and(|of| matches!(of.signature().result, ResultType::Same | ResultType::First))
}

impl RuleChecker<'_, '_> {
    pub(super) fn call(
        &mut self,
        span: Span,
        name: &ast::Name,
        arguments: &[ast::Expr],
        want: Option<&Type>,
    ) -> Option<Expr> {
        if let Some(call) = self.step_function(span, name, arguments) {
            return call;
        }
        let Some(function) = Function::by_name(&name.text) else {
            // Its arguments are checked all the same: all errors come at once.
            for argument in arguments {
                self.expr(argument, Some(&Type::Text));
            }
            self.unknown_function(name);
            return None;
        };
        let signature = function.signature();
        if !signature.accepts(arguments.len()) {
            let message = format!("`{}` takes {}", signature.name, signature.count_text());
            self.report(
                Diagnostic::error("F056", span, message)
                    .here(format!("given {}", arguments.len()))
                    .help(format!("write `{}({})`", signature.name, signature.usage)),
            );
            return None;
        }
        let (typed, same) = self.arguments(function, arguments, want)?;
        let ty = match signature.result {
            ResultType::Same => same?,
            ResultType::First => typed.first()?.ty.clone(),
            ResultType::Bool => Type::Bool,
            ResultType::Int => Type::Int,
            ResultType::Float => Type::Float,
            ResultType::Text => Type::Text,
            ResultType::Time => Type::Time,
            ResultType::Json => Type::Json,
        };
        let nullable = match signature.nulls {
            Nulls::WhenAnyIs => typed.iter().any(|one| one.nullable),
            Nulls::WhenAllAre => typed.iter().all(|one| one.nullable),
            Nulls::Maybe => true,
            Nulls::Never => false,
        };
        Some(self.make(span, ExprKind::Call(function, typed), ty, nullable))
    }

    /// The arguments in order, with the one type of those that share one.
    fn arguments(
        &mut self,
        function: Function,
        arguments: &[ast::Expr],
        want: Option<&Type>,
    ) -> Option<(Vec<Expr>, Option<Type>)> {
        let signature = function.signature();
        let parameter = |at: usize| signature.parameter(at);
        let shares = |of: &Parameter| matches!(of.kind, ParameterKind::Same | ParameterKind::Ordered);
        let shared: Vec<_> = arguments
            .iter()
            .enumerate()
            .filter(|(at, _)| parameter(*at).is_some_and(shares))
            .map(|(_, argument)| (argument, Vec::new()))
            .collect();
        let mut same = None;
        let mut good = true;
        let mut unified = Vec::new();
        if !shared.is_empty() {
            match self.unified(&shared, want, &format!("the arguments of `{}`", signature.name)) {
                Some((typed, ty)) => {
                    unified = typed;
                    same = Some(ty);
                }
                None => good = false,
            }
        }
        let mut unified = unified.into_iter();
        let mut typed = Vec::new();
        for (at, argument) in arguments.iter().enumerate() {
            let of = parameter(at)?;
            let one = if shares(of) { unified.next() } else { self.argument(of, function, argument, want) };
            if let (ParameterKind::Ordered, Some(Type::Json), Some(_)) = (of.kind, &same, &one) {
                self.wrong_argument(argument, function, &Type::Json, "a type that has an order");
                return None;
            }
            good &= one.is_some();
            typed.extend(one);
        }
        good &= function != Function::JsonObject || self.distinct_names(arguments);
        good.then_some((typed, same))
    }

    fn distinct_names(&mut self, arguments: &[ast::Expr]) -> bool {
        let mut seen: Vec<(String, Span)> = Vec::new();
        for argument in arguments.iter().step_by(2) {
            let Some(literal::Constant::Text(name)) = literal::constant(argument) else { continue };
            if let Some((_, first)) = seen.iter().find(|(other, _)| other == name) {
                let first = *first;
                self.report(
                    Diagnostic::error("F057", argument.span, format!("the member '{name}' is given twice"))
                        .here("the second")
                        .and(first, "the first")
                        .help("remove or rename one"),
                );
                return false;
            }
            seen.push((name.to_owned(), argument.span));
        }
        true
    }

    fn argument(
        &mut self,
        of: &Parameter,
        function: Function,
        argument: &ast::Expr,
        want: Option<&Type>,
    ) -> Option<Expr> {
        let number = |ty: &&Type| matches!(ty, Type::Int | Type::Float | Type::Decimal { .. });
        let (wanted, needed) = match of.kind {
            ParameterKind::Same | ParameterKind::Ordered => return None,
            ParameterKind::Number => {
                let natural = super::wanted::natural([argument]);
                (want.filter(number).cloned().or(natural).or(Some(Type::Int)), None)
            }
            ParameterKind::Int => (Some(Type::Int), Some(Type::Int)),
            ParameterKind::Float => (Some(Type::Float), Some(Type::Float)),
            ParameterKind::Text => (Some(Type::Text), Some(Type::Text)),
            ParameterKind::Time => (Some(Type::Time), Some(Type::Time)),
            ParameterKind::Json => (Some(Type::Json), Some(Type::Json)),
            ParameterKind::Any => {
                let null = literal::constant(argument).is_some_and(|constant| constant.is_null());
                (null.then_some(Type::Text), None)
            }
            ParameterKind::Name => return self.word(of, function, argument, None),
            ParameterKind::Word(words) => return self.word(of, function, argument, Some(words)),
            ParameterKind::Pattern => (Some(Type::Text), Some(Type::Text)),
        };
        let typed = self.expr(argument, wanted.as_ref())?;
        let fits = match (&needed, of.kind) {
            (Some(needed), _) => same_kind(&typed.ty, needed),
            (None, ParameterKind::Number) => number(&&typed.ty),
            (None, _) => true,
        };
        if !fits {
            let needed = needed.map_or("a number".to_owned(), |ty| with_article(&ty));
            self.wrong_argument(argument, function, &typed.ty, &needed);
            return None;
        }
        if of.kind == ParameterKind::Pattern && !self.good_pattern(argument) {
            return None;
        }
        Some(typed)
    }

    fn good_pattern(&mut self, argument: &ast::Expr) -> bool {
        let Some(literal::Constant::Text(pattern)) = literal::constant(argument) else { return true };
        match anabranch_model::eval::check_pattern(pattern) {
            Ok(()) => true,
            Err(problem) => {
                self.report(
                    Diagnostic::error("F057", argument.span, "this is not a regular expression")
                        .here(problem.to_string())
                        .help("write `\\` before a character that stands for itself"),
                );
                false
            }
        }
    }

    /// A text literal that names something.
    fn word(
        &mut self,
        of: &Parameter,
        function: Function,
        argument: &ast::Expr,
        words: Option<&'static [&'static str]>,
    ) -> Option<Expr> {
        let name = function.name();
        let Some(literal::Constant::Text(text)) = literal::constant(argument) else {
            let message = format!("the {} of `{name}` is a text in quotes", of.name);
            self.report(
                Diagnostic::error("F057", argument.span, message)
                    .here("not a text literal")
                    .help(format!("write `{name}({})`", function.signature().usage)),
            );
            return None;
        };
        let known = words.is_none_or(|words| words.iter().any(|word| word.eq_ignore_ascii_case(text)));
        if !known {
            let words = words.unwrap_or_default();
            let help = match suggest::closest(text, words.iter().copied()) {
                Some(close) => format!("did you mean `'{close}'`?"),
                None => format!("it takes {}", words.join(", ")),
            };
            let message = format!("`{name}` knows no {} '{text}'", of.name);
            self.report(
                Diagnostic::error("F057", argument.span, message).here("not one of its words").help(help),
            );
            return None;
        }
        let value = Value::Text(text.to_owned().into());
        Some(self.make(argument.span, ExprKind::Literal(value), Type::Text, false))
    }

    fn wrong_argument(&mut self, argument: &ast::Expr, function: Function, ty: &Type, needed: &str) {
        let source = self.checker.source(argument.span);
        let target = match needed.rsplit(' ').next() {
            _ if literal::constant(argument).is_some() => None,
            Some("number") => None,
            Some("int") => Some(Type::Int),
            Some("float") => Some(Type::Float),
            Some("text") => Some(Type::Text),
            Some("time") => Some(Type::Time),
            Some("json") => Some(Type::Json),
            _ => None,
        };
        let signature = function.signature();
        let help = match target {
            Some(target) if conversions::castable(ty, &target) => {
                format!("write `cast({source} as {target})`")
            }
            _ => format!("write `{}({})`", signature.name, signature.usage),
        };
        let message = format!("`{}` takes {needed} here, not {}", signature.name, with_article(ty));
        self.report(
            Diagnostic::error("F057", argument.span, message).here(format!("this is `{ty}`")).help(help),
        );
    }

    /// `node()` and its like; the outer none is another function.
    #[expect(clippy::option_option, reason = "another function, a broken call, a call")]
    fn step_function(
        &mut self,
        span: Span,
        name: &ast::Name,
        arguments: &[ast::Expr],
    ) -> Option<Option<Expr>> {
        let word = STEP_FUNCTIONS.iter().find(|word| word.eq_ignore_ascii_case(&name.text))?;
        if !arguments.is_empty() {
            self.report(
                Diagnostic::error("F056", span, format!("`{word}` takes no arguments"))
                    .here(format!("given {}", arguments.len()))
                    .help(format!("write `{word}()`")),
            );
            return Some(None);
        }
        if self.asked.is_some() && ["node", "source", "uuid"].contains(word) {
            self.only_in_a_step(span, word);
            return Some(None);
        }
        let (kind, ty) = match *word {
            "node" => (ExprKind::Node, Type::Text),
            "source" => (ExprKind::Source, Type::Text),
            "now" => (ExprKind::Now, Type::Time),
            "revision" => (ExprKind::Revision, Type::Int),
            _ => (ExprKind::Uuid, Type::Text),
        };
        self.blocked(Blocker { span, text: format!("`{word}()` is not known from the row alone") });
        Some(Some(self.make(span, kind, ty, false)))
    }

    fn unknown_function(&mut self, name: &ast::Name) {
        let lower = name.text.to_ascii_lowercase();
        let names: Vec<_> =
            Function::all().map(Function::name).chain(STEP_FUNCTIONS).chain(["cast", "case"]).collect();
        let help = match function_in_sql(&lower) {
            Some(help) => help.to_owned(),
            None => match suggest::closest(&lower, names.iter().copied()) {
                Some(close) => format!("did you mean `{close}`?"),
                None => "the functions are a closed list: see the language page".to_owned(),
            },
        };
        self.report(
            Diagnostic::error("F055", name.span, format!("there is no function `{}`", name.text))
                .here("not a function")
                .help(help),
        );
    }
}

/// What to write for a function of SQL that we lack.
fn function_in_sql(name: &str) -> Option<&'static str> {
    Some(match name {
        "ifnull" | "nvl" | "isnull" => "write `coalesce(a, b)`",
        "if" | "iif" | "decode" => "write `case when ... then ... else ... end`",
        "len" | "char_length" | "character_length" => "write `length(text)`",
        "substr" | "mid" => "write `substring(text, start, length)`",
        "left" => "write `substring(text, 1, length)`",
        "concat" => "write `a || b`",
        "strpos" | "instr" | "charindex" | "locate" => "write `position(part, text)`",
        "ceiling" => "write `ceil(number)`",
        "pow" => "write `power(base, exponent)`",
        "log" => "write `ln(number)`",
        "ucase" => "write `upper(text)`",
        "lcase" => "write `lower(text)`",
        "ltrim" | "rtrim" | "btrim" => "write `trim(text)`",
        "current_timestamp" | "getdate" | "sysdate" | "localtimestamp" => "write `now()`",
        "gen_random_uuid" | "newid" | "uuid_generate_v4" => "write `uuid()`",
        "to_char" | "str" | "string" => "write `to_text(value)`",
        "to_number" | "to_date" | "to_timestamp" | "convert" | "int" | "float" => {
            "write `cast(value as type)`"
        }
        "year" | "month" | "day" | "hour" | "date_part" => "write `extract('year', time)`",
        "mod" => "write `a % b`",
        "regexp" | "rlike" | "regexp_match" | "regexp_matches" => "write `regexp_like(text, pattern)`",
        "json_extract" | "json_value" => "write `json_get(json, 'name')`",
        "json_build_object" => "write `json_object('name', value)`",
        _ => return None,
    })
}
