//! `${NAME}` and `${NAME:-default}` in texts of a node file: values from the environment.

/// Puts the environment into a text. `$${` stands for `${`; a `$` before anything else is itself. Names that were looked
/// up are added to `names`.
///
/// # Errors
/// A variable has no value and no default, or what stands there is no variable.
pub(super) fn substitute(
    text: &str,
    variable: &dyn Fn(&str) -> Option<String>,
    names: &mut Vec<String>,
) -> Result<String, String> {
    let (mut out, mut rest) = (String::new(), text);
    while let Some(at) = rest.find("${") {
        if let Some(before) = rest[..at].strip_suffix('$') {
            out.push_str(before);
            out.push_str("${");
            rest = &rest[at + 2..];
            continue;
        }
        out.push_str(&rest[..at]);
        let inside = &rest[at + 2..];
        let end = inside.find('}').ok_or("a `${` without its `}`; write `$${` for the signs themselves")?;
        let (name, default) = match inside[..end].split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (&inside[..end], None),
        };
        if !is_name(name) {
            return Err(format!(
                "`${{{}}}` names no environment variable: write ${{NAME}} or ${{NAME:-default}}",
                &inside[..end]
            ));
        }
        names.push(name.to_owned());
        // As in a shell, one without anything in it has no value where there is a default.
        match (variable(name), default) {
            (Some(value), None) => out.push_str(&value),
            (Some(value), Some(_)) if !value.is_empty() => out.push_str(&value),
            (_, Some(default)) => out.push_str(default),
            (None, None) => {
                return Err(format!(
                    "the environment variable {name} is not set; set it, or write ${{{name}:-default}}"
                ));
            }
        }
        rest = &inside[end + 1..];
    }
    out.push_str(rest);
    Ok(out)
}

fn is_name(name: &str) -> bool {
    let word = |sign: char| sign.is_ascii_alphanumeric() || sign == '_';
    name.starts_with(|sign: char| sign.is_ascii_alphabetic() || sign == '_') && name.chars().all(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_put_in() {
        let variable = |name: &str| match name {
            "A" => Some("1".to_owned()),
            "EMPTY" => Some(String::new()),
            // What is put in is not looked at again.
            "SIGNS" => Some("${A}".to_owned()),
            _ => None,
        };
        let put = |text| substitute(text, &variable, &mut Vec::new());
        for (text, out) in [
            ("", ""),
            ("x", "x"),
            ("${A}", "1"),
            ("x${A}y${A:-2}z", "x1y1z"),
            ("${B:-2}", "2"),
            ("${B:-}", ""),
            ("${B:-a:-b}", "a:-b"),
            ("${EMPTY}${EMPTY:-e}", "e"),
            ("${SIGNS}", "${A}"),
            ("$A $ $$ $", "$A $ $$ $"),
            ("$${A} $$${A}", "${A} $${A}"),
        ] {
            assert_eq!(put(text).as_deref(), Ok(out), "{text}");
        }
        for (text, words) in
            [("${B}", "B is not set"), ("${A", "without its `}`"), ("${}", "names no"), ("${1}", "names no")]
        {
            assert!(put(text).expect_err(text).contains(words), "{text}");
        }
        let mut names = Vec::new();
        substitute("${A} ${B:-x}", &variable, &mut names).expect("it is right");
        assert_eq!(names, ["A", "B"]);
    }
}
