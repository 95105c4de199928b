//! A crate names only crates of lower layers; crates of one layer never name each other.

use crate::manifest::{self, Manifest};
use crate::{report, tree};

/// The layer of a package of ours: nouns, parts, dataflow, the node, programs.
fn layer(package: &str) -> Option<u32> {
    match package {
        "anabranch-model" => Some(0),
        "anabranch-lang" | "anabranch-log" | "anabranch-table" | "anabranch-wire" | "anabranch-cluster"
        | "anabranch-replica" => Some(1),
        "anabranch-operators" => Some(2),
        "anabranch" => Some(3),
        "anabranch-cli"
        | "anabranch-benches"
        | "anabranch-sim"
        | "anabranch-lang-fuzz"
        | "anabranch-log-fuzz"
        | "anabranch-wire-fuzz"
        | "anabranch-operators-fuzz" => Some(4),
        _ => None,
    }
}

fn check(path: &str, manifest: &Manifest) -> Vec<String> {
    let package = manifest.package.as_str();
    let Some(own) = layer(package) else {
        return vec![format!(
            "{path}:1: `{package}` has no layer: give it one here and in engine/ARCHITECTURE.md"
        )];
    };
    let mut wrong = Vec::new();
    for (line, name) in &manifest.dependencies {
        if let Some(other) = layer(name).filter(|other| *other >= own) {
            wrong.push(format!(
                "{path}:{line}: `{package}` (layer {own}) names `{name}` (layer {other}): move what both need into a \
                 lower layer, or let the layer above put them together"
            ));
        }
        let dataflow = name.starts_with("timely") || name.starts_with("differential");
        if dataflow && package != "anabranch-operators" {
            wrong.push(format!(
                "{path}:{line}: only `operators` names `{name}`: give its face what is missing"
            ));
        }
    }
    if !manifest.workspace_lints && !package.ends_with("-fuzz") {
        wrong
            .push(format!("{path}:1: `{package}` goes without lints: add `[lints]` with `workspace = true`"));
    }
    wrong
}

#[test]
fn crates_name_only_lower_layers() {
    let files = tree::files();
    let manifests =
        files.iter().filter(|file| file.path.ends_with("Cargo.toml") && file.path != "Cargo.toml");
    report(manifests.flat_map(|file| check(&file.path, &manifest::parse(&file.text))).collect());
}

#[test]
fn arrows_up_and_sideways_are_found() {
    let wrong = |package: &str, dependency: &str| {
        let text = format!(
            "[package]\nname = \"{package}\"\n[lints]\nworkspace = true\n[dependencies]\n{dependency} = \"1\"\n"
        );
        check("Cargo.toml", &manifest::parse(&text))
    };
    assert!(wrong("anabranch-lang", "anabranch-model").is_empty());
    assert!(wrong("anabranch-operators", "timely").is_empty());
    assert!(
        wrong("anabranch-lang", "anabranch-table")[0].starts_with("Cargo.toml:6: `anabranch-lang` (layer 1)")
    );
    assert!(wrong("anabranch-model", "anabranch")[0].contains("names `anabranch` (layer 3)"));
    assert!(wrong("anabranch-cli", "differential-dataflow")[0].contains("only `operators`"));
    assert!(wrong("anabranch-new", "serde")[0].contains("has no layer"));
    let careless = manifest::parse("[package]\nname = \"anabranch-model\"\n");
    assert!(check("Cargo.toml", &careless)[0].contains("goes without lints"));
}
