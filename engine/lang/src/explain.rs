//! The pages behind the diagnostics' numbers: what each means, an example that gives it, the same one mended, and why.
//!
//! Numbers are stable: one that is no longer given keeps its page. F001 to F029 are syntax, F030 and up meaning (F081
//! to F089 of questions), R001 and up what can still go wrong while a flow runs.

/// A code with its page, `explain/CODE.md`.
macro_rules! page {
    ($code:literal) => {
        ($code, include_str!(concat!("explain/", $code, ".md")))
    };
}

/// All pages, in the order of their codes.
const PAGES: &[(&str, &str)] = &[
    page!("F001"),
    page!("F002"),
    page!("F003"),
    page!("F004"),
    page!("F005"),
    page!("F006"),
    page!("F007"),
    page!("F008"),
    page!("F009"),
    page!("F010"),
    page!("F011"),
    page!("F012"),
    page!("F013"),
    page!("F014"),
    page!("F015"),
    page!("F016"),
    page!("F017"),
    page!("F018"),
    page!("F019"),
    page!("F020"),
    page!("F021"),
    page!("F022"),
    page!("F023"),
    page!("F024"),
    page!("F025"),
    page!("F026"),
    page!("F027"),
    page!("F028"),
    page!("F029"),
    page!("F030"),
    page!("F031"),
    page!("F032"),
    page!("F033"),
    page!("F034"),
    page!("F035"),
    page!("F036"),
    page!("F037"),
    page!("F038"),
    page!("F039"),
    page!("F040"),
    page!("F041"),
    page!("F042"),
    page!("F043"),
    page!("F044"),
    page!("F045"),
    page!("F046"),
    page!("F047"),
    page!("F048"),
    page!("F049"),
    page!("F050"),
    page!("F051"),
    page!("F052"),
    page!("F053"),
    page!("F054"),
    page!("F055"),
    page!("F056"),
    page!("F057"),
    page!("F058"),
    page!("F059"),
    page!("F060"),
    page!("F061"),
    page!("F062"),
    page!("F063"),
    page!("F064"),
    page!("F065"),
    page!("F066"),
    page!("F067"),
    page!("F068"),
    page!("F069"),
    page!("F070"),
    page!("F071"),
    page!("F072"),
    page!("F073"),
    page!("F074"),
    page!("F076"),
    page!("F077"),
    page!("F078"),
    page!("F079"),
    page!("F080"),
    page!("F081"),
    page!("F082"),
    page!("F083"),
    page!("F084"),
    page!("F085"),
    page!("F086"),
    page!("F087"),
    page!("F088"),
    page!("F089"),
    page!("F090"),
    page!("F091"),
    page!("F092"),
    page!("F093"),
    page!("F094"),
    page!("F095"),
    page!("F096"),
    page!("F097"),
    page!("R001"),
    page!("R002"),
    page!("R003"),
    page!("R004"),
    page!("R005"),
    page!("R006"),
    page!("R007"),
    page!("R010"),
    page!("R011"),
    page!("R012"),
    page!("R013"),
    page!("R014"),
    page!("R015"),
];

/// The page of a code, in Markdown; upper and lower case are the same. For an unknown code,
/// [`closest`](crate::suggest::closest) over [`codes`] finds the one that was meant.
///
/// ```
/// assert!(anabranch_lang::explain("f001").is_some_and(|page| page.starts_with("# F001")));
/// assert!(anabranch_lang::explain("F000").is_none());
/// ```
pub fn explain(code: &str) -> Option<&'static str> {
    PAGES.iter().find(|(known, _)| known.eq_ignore_ascii_case(code)).map(|(_, page)| *page)
}

/// All codes, in order.
pub fn codes() -> impl Iterator<Item = &'static str> {
    PAGES.iter().map(|(code, _)| *code)
}
