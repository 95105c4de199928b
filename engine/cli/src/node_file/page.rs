//! The page that documents the node file, made of its settings: `engine/CONFIG.md`.

use std::fmt::Write;

use super::settings::{Form, SETTINGS, sections};

const HEAD: &str = "\
# The node file

`anabranch run --config node.toml` takes from a file what otherwise stands on the command line. `anabranch config check
node.toml` prints what would be used and where each value comes from, or all mistakes at once with their lines. This page is
made by `anabranch config fields`; a test compares them.

```toml
[node]
name = \"${NODE:-A}\"
flows = [\"names.flow\"]
workers = 2
data = \"/var/lib/anabranch/${NODE:-A}\"

[listen]
grpc = \"127.0.0.1:${PORT:-7401}\"

[zone]
name = \"demo\"
join = [\"127.0.0.1:7402\"]
```

- What the command line says goes before the environment, the environment before the file, the file before defaults. A list
  on the command line takes the place of the whole list of the file.
- In texts `${NAME}` is the value of an environment variable, which has to be set; `${NAME:-default}` has a default for one that
  is not set or empty; `$${` stands for the signs themselves. Numbers, and true and false, may be written as texts, so that
  they can come from the environment: `workers = \"${WORKERS:-1}\"`.
- Fields that do not exist are refused, with the nearest one that does. Paths are those of the directory where the program is
  started, as on the command line.
";

/// The page.
pub(crate) fn page() -> String {
    let mut page = HEAD.to_owned();
    for section in sections() {
        let _ = write!(
            page,
            "\n## [{section}]\n\n| field | written as | where nothing is said | what for |\n|---|---|---|---|\n"
        );
        for setting in SETTINGS {
            let Some((of, field)) = setting.key.split_once('.') else { continue };
            if of != section {
                continue;
            }
            let many = if matches!(setting.form, Form::Many(_)) { "list of " } else { "" };
            // Flow files need no option on the command line.
            let option = match setting.option {
                "flow" => "FILE".to_owned(),
                option => format!("`--{option}`"),
            };
            let environment = setting.variable.map(|name| format!(", {name}")).unwrap_or_default();
            let _ = writeln!(
                page,
                "| `{field}` ({option}{environment}) | {many}{} | {} | {} |",
                setting.unit, setting.default, setting.reason
            );
        }
    }
    page
}
