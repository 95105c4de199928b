//! `like`: `%` stands for any run of characters, `_` for one character, `\` takes the next one as it is.
//!
//! A `\` at the end stands for itself. Two pointers and the last `%` seen are enough: what an earlier `%` could take
//! more of, the last one can too. So the time is at most text times pattern, and nothing is allocated.

/// Whether the whole text matches the pattern.
///
/// ```
/// use anabranch_model::like::like;
/// assert!(like("anabranch", "ana%"));
/// assert!(like("100%", "100\\%"));
/// assert!(!like("anabranch", "ana"));
/// ```
pub fn like(text: &str, pattern: &str) -> bool {
    let (mut text, mut pattern) = (text, pattern);
    // The pattern behind the last `%`, and the text that it is tried on.
    let mut retry: Option<(&str, &str)> = None;
    loop {
        if let Some(rest) = pattern.strip_prefix('%') {
            pattern = rest;
            retry = Some((pattern, text));
            continue;
        }
        if pattern.is_empty() && text.is_empty() {
            return true;
        }
        if let Some((text_rest, pattern_rest)) = step(text, pattern) {
            (text, pattern) = (text_rest, pattern_rest);
            continue;
        }
        // A mismatch: the last `%` takes one character more.
        let Some((behind, tried)) = retry else { return false };
        let Some(first) = tried.chars().next() else { return false };
        let tried = &tried[first.len_utf8()..];
        retry = Some((behind, tried));
        (text, pattern) = (tried, behind);
    }
}

/// What is left of both when the pattern, which does not begin with `%`, takes one character.
fn step<'t, 'p>(text: &'t str, pattern: &'p str) -> Option<(&'t str, &'p str)> {
    let mut text_characters = text.chars();
    let mut pattern_characters = pattern.chars();
    let found = text_characters.next()?;
    let matches = match pattern_characters.next()? {
        '_' => true,
        '\\' => found == pattern_characters.next().unwrap_or('\\'),
        wanted => found == wanted,
    };
    matches.then_some((text_characters.as_str(), pattern_characters.as_str()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn patterns_match_whole_texts() {
        for (text, pattern, expected) in [
            ("", "", true),
            ("", "%", true),
            ("", "_", false),
            ("a", "", false),
            ("abc", "abc", true),
            ("abc", "a_c", true),
            ("aäc", "a_c", true),
            ("abc", "%c", true),
            ("abc", "%b", false),
            ("abcabd", "%ab_", true),
            ("mississippi", "m%iss%ip_i", true),
            ("50%", "50\\%", true),
            ("50x", "50\\%", false),
            ("a_b", "a\\_b", true),
            ("axb", "a\\_b", false),
            ("a\\b", "a\\\\b", true),
            ("a\\", "a\\", true),
            ("ABC", "abc", false),
            ("a\nb", "a%b", true),
        ] {
            assert_eq!(like(text, pattern), expected, "{text:?} like {pattern:?}");
        }
    }

    #[test]
    fn many_wildcards_do_not_take_exponential_time() {
        assert!(!like(&"a".repeat(2000), &format!("{}b", "%a".repeat(400))));
    }

    /// The definition itself, by recursion.
    fn plainly(text: &[char], pattern: &[char]) -> bool {
        match pattern {
            [] => text.is_empty(),
            ['%', rest @ ..] => (0..=text.len()).any(|skip| plainly(&text[skip..], rest)),
            ['\\', wanted, rest @ ..] => text.first() == Some(wanted) && plainly(&text[1..], rest),
            ['_', rest @ ..] => !text.is_empty() && plainly(&text[1..], rest),
            [wanted, rest @ ..] => text.first() == Some(wanted) && plainly(&text[1..], rest),
        }
    }

    proptest! {
        #[test]
        fn result_is_that_of_the_definition(text in "[ab%ä\\\\]{0,7}", pattern in "[ab%_ä\\\\]{0,6}") {
            let (t, p): (Vec<char>, Vec<char>) = (text.chars().collect(), pattern.chars().collect());
            prop_assert_eq!(like(&text, &pattern), plainly(&t, &p));
        }
    }
}
