//! Rust text without what is no code: comments, literals, and the modules of unit tests.
//!
//! Blanked characters become spaces and lines stay lines, so that a place in the result is a place in the file.

/// The text with comments, texts and characters blanked.
pub(crate) fn code_of(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut code = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let end = end_of_blank(bytes, at);
        for byte in &mut code[at..end] {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
        at = end.max(at + 1);
    }
    String::from_utf8(code).expect("whole comments and literals are blanked")
}

/// Where the comment or literal that begins at `at` ends; `at` when none begins there.
fn end_of_blank(bytes: &[u8], at: usize) -> usize {
    let rest = &bytes[at..];
    let in_a_word = at > 0 && (bytes[at - 1].is_ascii_alphanumeric() || bytes[at - 1] == b'_');
    match rest {
        [b'/', b'/', ..] => at + rest.iter().position(|&byte| byte == b'\n').unwrap_or(rest.len()),
        [b'/', b'*', ..] => at + block_comment(rest),
        [b'"', ..] => at + text(rest),
        [b'r', b'"' | b'#', ..] if !in_a_word => at + raw_text(rest, 1),
        [b'b', b'r', b'"' | b'#', ..] if !in_a_word => at + raw_text(rest, 2),
        [b'\'', ..] => at + character(rest),
        _ => at,
    }
}

fn block_comment(rest: &[u8]) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < rest.len() {
        match &rest[at..] {
            [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
            [b'*', b'/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

fn text(rest: &[u8]) -> usize {
    let mut at = 1;
    while at < rest.len() {
        match rest[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

/// The marks begin at `marks`, behind the `r`. A raw identifier (`r#type`) is no text.
fn raw_text(rest: &[u8], marks: usize) -> usize {
    let hashes = rest[marks..].iter().take_while(|&&byte| byte == b'#').count();
    let body = marks + hashes + 1;
    if rest.get(body - 1) != Some(&b'"') {
        return 0;
    }
    let close = [b"\"".as_slice(), &rest[marks..marks + hashes]].concat();
    let found = rest[body..].windows(close.len()).position(|window| window == close);
    found.map_or(rest.len(), |found| body + found + close.len())
}

/// A character; nothing when it is a lifetime.
fn character(rest: &[u8]) -> usize {
    match rest {
        [_, b'\\', _, behind @ ..] => {
            behind.iter().position(|&byte| byte == b'\'').map_or(rest.len(), |found| 3 + found + 1)
        }
        // A character of UTF-8 has one to four bytes.
        [_, inner @ ..] => match inner.iter().take(5).position(|&byte| byte == b'\'') {
            Some(bytes @ 1..)
                if std::str::from_utf8(&inner[..bytes]).is_ok_and(|one| one.chars().count() == 1) =>
            {
                bytes + 2
            }
            _ => 0,
        },
        [] => 0,
    }
}

/// Code (see [`code_of`]) with the items that `#[cfg(test)]` marks blanked.
pub(crate) fn without_tests(code: &str) -> String {
    let mut kept = code.to_owned();
    while let Some(start) = kept.find("#[cfg(test)]") {
        let end = start + end_of_item(&kept[start..]);
        let blank: String = kept[start..end].chars().map(|c| if c == '\n' { '\n' } else { ' ' }).collect();
        kept.replace_range(start..end, &blank);
    }
    kept
}

fn end_of_item(code: &str) -> usize {
    let mut depth = 0;
    for (at, character) in code.char_indices() {
        match character {
            '{' => depth += 1,
            '}' if depth <= 1 => return at + 1,
            '}' => depth -= 1,
            ';' if depth == 0 => return at + 1,
            _ => {}
        }
    }
    code.len()
}

/// The lines, from 1, on which a word stands; beside letters, digits or `_` it is another word.
pub(crate) fn lines_with(code: &str, word: &str) -> Vec<usize> {
    let part_of_word = |character: char| character.is_alphanumeric() || character == '_';
    let apart = |one: Option<char>, other: Option<char>| {
        !(one.is_some_and(part_of_word) && other.is_some_and(part_of_word))
    };
    let stands = |line: &str| {
        line.match_indices(word).any(|(at, _)| {
            let behind = &line[at + word.len()..];
            apart(line[..at].chars().next_back(), word.chars().next())
                && apart(word.chars().next_back(), behind.chars().next())
        })
    };
    (1..).zip(code.lines()).filter(|(_, line)| stands(line)).map(|(number, _)| number).collect()
}

#[test]
fn comments_and_literals_are_no_code() {
    for (text, words) in [
        ("a // b\nc", "a c"),
        ("a /* b /* c */ d */ e", "a e"),
        (r#"a("b\"c", d)"#, "a( , d)"),
        ("a(r#\"b\"c\"#, br\"d\\\", e)", "a( , , e)"),
        ("a('b', '\\'', '\"', 'ü', '\\u{fc}', 'c)", "a( , , , , , 'c)"),
        ("impl<'a> A<'a> { fn r#type() {} }", "impl<'a> A<'a> { fn r#type() {} }"),
        ("a /* never closed", "a"),
        ("a \"never closed", "a"),
    ] {
        let code = code_of(text);
        assert_eq!(code.split_whitespace().collect::<Vec<_>>().join(" "), words, "{text}");
        assert_eq!((code.len(), code.lines().count()), (text.len(), text.lines().count()), "{text}");
    }
}

#[test]
fn items_of_tests_are_blanked_to_their_end() {
    let code = "a\n#[cfg(test)]\nmod tests { fn b() { c } }\nd\n#[cfg(test)]\nmod more;\ne";
    let kept = without_tests(code);
    let words: Vec<&str> = kept.split_whitespace().collect();
    assert_eq!(words, ["a", "d", "e"]);
    assert_eq!(kept.lines().count(), code.lines().count());
}

#[test]
fn words_are_found_whole_and_with_their_line() {
    assert_eq!(lines_with("a\nstd::fs::read\nmystd::fs", "std::fs"), [2]);
    assert_eq!(lines_with("unsafe_code\nunsafe {", "unsafe"), [2]);
    assert_eq!(lines_with("x.unix_sleep(1)\nsleep(1)", "sleep("), [2]);
}
