//! Which package a `Cargo.toml` is of, and what it depends on.

/// A manifest, as far as the checks need it.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Manifest {
    /// The package's name; empty for a workspace without one.
    pub(crate) package: String,
    /// The packages it depends on, for tests and builds, too; each with its line.
    pub(crate) dependencies: Vec<(usize, String)>,
    /// Whether it takes the lints of the workspace.
    pub(crate) workspace_lints: bool,
}

/// Reads a manifest line by line; ours have one dependency a line.
pub(crate) fn parse(text: &str) -> Manifest {
    let mut manifest = Manifest::default();
    let mut section = String::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.split('#').next().unwrap_or_default().trim();
        if let Some(header) = line.strip_prefix('[') {
            section = header.trim_end_matches(']').to_owned();
            if let Some((parent, name)) = section.rsplit_once('.')
                && lists_dependencies(parent)
            {
                manifest.dependencies.push((number, name.to_owned()));
            }
        } else if let Some((key, value)) = line.split_once('=') {
            let key = key.trim();
            match section.as_str() {
                "package" if key == "name" => manifest.package = unquoted(value),
                "lints" if key == "workspace" => manifest.workspace_lints = value.trim() == "true",
                section if lists_dependencies(section) => {
                    let name =
                        renamed(value).unwrap_or_else(|| key.split('.').next().unwrap_or(key).to_owned());
                    manifest.dependencies.push((number, name));
                }
                _ => {}
            }
        }
    }
    manifest
}

fn lists_dependencies(section: &str) -> bool {
    let last = section.rsplit('.').next().unwrap_or(section);
    !section.starts_with("workspace")
        && matches!(last, "dependencies" | "dev-dependencies" | "build-dependencies")
}

/// The real name of a dependency that has another name here.
fn renamed(value: &str) -> Option<String> {
    let (_, behind) = value.split_once("package")?;
    Some(unquoted(behind.trim_start().strip_prefix('=')?.split(',').next()?))
}

fn unquoted(value: &str) -> String {
    value.chars().filter(|character| !"\" {}".contains(*character)).collect()
}

#[test]
fn dependencies_are_read_in_all_their_forms() {
    let manifest = parse(
        "[package]\nname = \"a\" # the first\n[dependencies]\nb.workspace = true\nc = { path = \"x\" }\n\
         d = { package = \"e\", version = \"1\" }\n[target.'cfg(unix)'.dev-dependencies]\nf = \"1\"\n\
         [dependencies.g]\nversion = \"1\"\n[workspace.dependencies]\nh = \"1\"\n[lints]\nworkspace = true\n",
    );
    let names: Vec<&str> = manifest.dependencies.iter().map(|(_, name)| name.as_str()).collect();
    assert_eq!((manifest.package.as_str(), names), ("a", vec!["b", "c", "e", "f", "g"]));
    assert!(manifest.workspace_lints);
    assert_eq!(manifest.dependencies[0].0, 4);
    assert!(!parse("[package]\nname = \"a\"\n").workspace_lints);
}
