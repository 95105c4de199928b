//! The files of the repository.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A file, by its path from the root with `/` between the parts.
pub(crate) struct File {
    pub(crate) path: String,
    pub(crate) text: String,
}

/// What lies at the top, for a copy of the repository that git does not know.
const TOP: [&str; 13] = [
    ".ci",
    ".gitignore",
    "CHANGELOG.md",
    "Cargo.lock",
    "Cargo.toml",
    "README.md",
    "benches",
    "clippy.toml",
    "engine",
    "examples",
    "flows",
    "operators",
    "rustfmt.toml",
];

/// The root of the repository.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate lies under the root").to_owned()
}

/// All files that belong to the repository: those that git knows, else those that lie where ours do.
pub(crate) fn files() -> Vec<File> {
    let root = root();
    let mut paths = known_to_git(&root).unwrap_or_else(|| {
        let mut paths = Vec::new();
        TOP.iter().for_each(|top| walk(&root.join(top), &root, &mut paths));
        paths
    });
    paths.sort();
    let read = |path: String| {
        // A file that was deleted a moment ago is still known to git.
        let bytes = fs::read(root.join(&path)).ok()?;
        Some(File { path, text: String::from_utf8_lossy(&bytes).into_owned() })
    };
    let files: Vec<File> = paths.into_iter().filter_map(read).collect();
    assert!(files.iter().any(|file| file.path == "engine/src/lib.rs"), "no sources under {}", root.display());
    files
}

fn known_to_git(root: &Path) -> Option<Vec<String>> {
    let listed = Command::new("git").args(["ls-files", "-z"]).current_dir(root).output().ok()?;
    let text = String::from_utf8(listed.stdout).ok().filter(|_| listed.status.success())?;
    let paths: Vec<String> = text.split_terminator('\0').map(str::to_owned).collect();
    (!paths.is_empty()).then_some(paths)
}

fn walk(path: &Path, root: &Path, found: &mut Vec<String>) {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    if ["target", "corpus", "artifacts"].contains(&name) {
        return;
    }
    if let Ok(entries) = fs::read_dir(path) {
        entries.flatten().for_each(|entry| walk(&entry.path(), root, found));
    } else if let Some(path) = path.strip_prefix(root).ok().and_then(Path::to_str) {
        found.push(path.replace('\\', "/"));
    }
}

#[test]
fn a_copy_without_git_has_the_same_sources() {
    let root = root();
    let Some(known) = known_to_git(&root) else { return };
    let mut walked = Vec::new();
    TOP.iter().for_each(|top| walk(&root.join(top), &root, &mut walked));
    let missing: Vec<&String> = known
        .iter()
        .filter(|path| path.ends_with(".rs") && root.join(path).exists() && !walked.contains(path))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}
