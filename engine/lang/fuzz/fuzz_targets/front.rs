//! Everything the front end does with a text. The bounded run of the same check is `tests/hostile.rs`; a crash found
//! here becomes a file in `tests/wrong` or `tests/good`.
//!
//! `cargo +nightly fuzz run front fuzz/corpus/front tests/good tests/wrong`

#![no_main]

use anabranch_lang::{compile, decode, format, parse, render, to_json};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let text = match decode(bytes) {
        Ok(text) => text,
        Err(not_text) => {
            render("f", &not_text.shown, &[not_text.diagnostic], false);
            return;
        }
    };
    let (_, parsed) = parse(text);
    let compiled = compile("f", text);
    for diagnostic in parsed.iter().chain(&compiled.diagnostics) {
        for label in &diagnostic.labels {
            assert!(text.get(label.span.range()).is_some(), "not in the text: {diagnostic:?}");
        }
        to_json("f", text, diagnostic);
    }
    render("f", text, &compiled.diagnostics, true);
    match format(text) {
        Ok(formatted) => assert_eq!(format(&formatted).as_deref(), Ok(formatted.as_str()), "not stable"),
        Err(said) => assert_eq!(said, parsed),
    }
});
