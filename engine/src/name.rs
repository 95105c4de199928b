//! What a node or a zone may be called.

/// Bytes of the name of a node or a zone, at most: it stands in rows (`node()`), in messages and in lists.
pub const NAME_BYTES_MAX: usize = 255;

/// Whether it may be the name of a node or of a zone.
///
/// # Errors
/// It is no word, or too long.
pub(crate) fn check_name(name: &str) -> Result<(), &'static str> {
    let odd = |sign: char| sign.is_whitespace() || sign.is_control();
    match name.is_empty() || name.len() > NAME_BYTES_MAX || name.contains(odd) {
        true => Err("it has to be a word of at most 255 bytes, without spaces"),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_word() {
        for (name, fits) in [("A", true), ("ü-1.x", true), ("", false), ("a b", false), ("a\n", false)] {
            assert_eq!(check_name(name).is_ok(), fits, "{name:?}");
        }
        let long = |bytes| check_name(&"a".repeat(bytes)).is_ok();
        assert!(long(NAME_BYTES_MAX) && !long(NAME_BYTES_MAX + 1));
    }
}
