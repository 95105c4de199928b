//! placeholder
#[test]
fn names_parse() {
    let text = include_str!("good/names.flow");
    let (file, diagnostics) = anabranch_lang::parse(text);
    assert!(diagnostics.is_empty(), "{diagnostics:#?}");
    assert_eq!(file.items.len(), 11);
}
