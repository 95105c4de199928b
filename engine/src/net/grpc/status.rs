//! What a call could not do, as its status. A status travels in headers, which clients take up to a few KiB only: a text
//! that is longer is cut.

use tonic::{Code, Status};

/// Bytes of the text of a status, as it travels (percent-encoded), at most.
const STATUS_BYTES_MAX: usize = 4096;

/// What stands at the end of a text that was cut.
const CUT: &str = "... (cut)";

/// A status with its text.
pub(super) fn status(code: Code, text: &str) -> Status {
    Status::new(code, cut(text))
}

/// The text, or as much of its beginning as fits.
pub(super) fn cut(text: &str) -> String {
    if text.len() <= STATUS_BYTES_MAX / 3 {
        return text.to_owned();
    }
    let room = STATUS_BYTES_MAX - CUT.chars().map(encoded).sum::<usize>();
    let (mut bytes, mut fits) = (0, 0);
    for (at, char) in text.char_indices() {
        bytes += encoded(char);
        if bytes <= room {
            fits = at + char.len_utf8();
        }
        if bytes > STATUS_BYTES_MAX {
            return format!("{}{CUT}", &text[..fits]);
        }
    }
    text.to_owned()
}

/// Bytes of a character when it travels, at most.
fn encoded(char: char) -> usize {
    match char {
        '0'..='9' | 'A'..='Z' | 'a'..='z' => 1,
        _ => 3 * char.len_utf8(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header_bytes(text: &str) -> usize {
        let response = status(Code::Internal, text).into_http::<tonic::body::Body>();
        response.headers()["grpc-message"].len()
    }

    #[test]
    fn a_text_fits_into_headers_as_it_travels() {
        for text in ["a".repeat(1 << 20), "\u{1f600}%\n".repeat(1 << 16), "aé".repeat(5000), "`".repeat(1366)]
        {
            let bytes = header_bytes(&text);
            assert!((STATUS_BYTES_MAX - 32..=STATUS_BYTES_MAX).contains(&bytes), "{bytes}");
            assert!(cut(&text).ends_with(CUT));
        }
        for whole in ["a".repeat(STATUS_BYTES_MAX), "%".repeat(1365), String::new()] {
            assert_eq!(cut(&whole), whole);
        }
    }
}
