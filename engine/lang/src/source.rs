//! Bytes to text.

use crate::diagnostic::Diagnostic;
use crate::span::Span;

/// A flow file that is not UTF-8: what could be read, and what is wrong with it.
#[derive(Clone, Debug, PartialEq)]
pub struct NotText {
    /// The file with `�` for what is no character; the diagnostic's span is in it.
    pub shown: String,
    /// F029.
    pub diagnostic: Diagnostic,
}

/// The text of a flow file.
///
/// # Errors
/// When the bytes are not UTF-8.
pub fn decode(bytes: &[u8]) -> Result<&str, Box<NotText>> {
    std::str::from_utf8(bytes).map_err(|error| {
        let at = error.valid_up_to();
        let wide = bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]);
        let help =
            if wide { "it looks like UTF-16; save the file as UTF-8" } else { "save the file as UTF-8" };
        // Up to here the shown text is the file, and here it has a replacement character.
        let span = Span::new(at, at + char::REPLACEMENT_CHARACTER.len_utf8());
        let diagnostic = Diagnostic::error("F029", span, "the file is not UTF-8")
            .here("the first byte that is not")
            .help(help);
        Box::new(NotText { shown: String::from_utf8_lossy(bytes).into_owned(), diagnostic })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_text() {
        assert_eq!(decode("flow ñ".as_bytes()), Ok("flow ñ"));
    }

    #[test]
    fn the_first_wrong_byte_is_shown() {
        let error = decode(b"flow n\xffx").expect_err("0xff is never UTF-8");
        assert_eq!(&error.shown[error.diagnostic.labels[0].span.range()], "\u{fffd}");
        assert_eq!(error.diagnostic.labels[0].span.start, 6);
    }

    #[test]
    fn utf16_is_named() {
        let error = decode(b"\xff\xfef\0l\0").expect_err("UTF-16");
        assert!(error.diagnostic.help.expect("has help").contains("UTF-16"));
    }
}
