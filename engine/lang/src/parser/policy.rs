//! Policies and their settings.

use super::{Parsed, Parser, Reported, habits};
use crate::ast::{Policy, Setting, SettingKind};
use crate::diagnostic::Diagnostic;
use crate::lexer::Kind;
use crate::span::Span;
use crate::suggest::closest;

impl Parser<'_> {
    pub(super) fn policy(&mut self, start: Span) -> Parsed<Policy> {
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
