//! A node that asks for tokens and speaks TLS, as `engine/SECURITY.md` shows it.

mod support;

use std::process::{Command, Stdio};

use support::{Directory, Serving};

/// A token of a new line in the file `tokens`.
fn token(directory: Directory, words: &str) -> (Directory, String) {
    let made = directory.run(&format!("token new {words} --json")).exits(0).json().remove(0);
    let text = |name: &str| made[name].as_str().expect("a text").to_owned();
    let path = directory.path("tokens");
    let before = if path.exists() { directory.read("tokens") } else { String::new() };
    let directory = directory.file("tokens", format!("{before}{}\n", text("line")));
    private(&directory, "tokens");
    (directory, text("token"))
}

fn private(directory: &Directory, name: &str) {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(directory.path(name), mode).expect("it is ours");
    }
}

/// Runs a command against a node with a token.
fn with_token(node: &Serving, directory: &Directory, token: &str, arguments: &str) -> support::Came {
    let mut command = directory.command(arguments);
    command.env("ANABRANCH_TOKEN", token);
    node.run_command(command)
}

#[test]
fn commands_send_the_token_of_the_environment_or_of_a_file() {
    let (directory, writes) = token(Directory::with_flow(), "ingest --scope write --flow names");
    let (directory, reads) = token(directory, "dashboard --scope read");
    let node = directory.serve("--tokens tokens");
    let send = "send UpdateStream name=a value=1";
    node.run(&directory, send).exits(3).says("asks for a token").says("--token-file");
    let forged = with_token(&node, &directory, "anb_forged", send).exits(3).says("none of this node's");
    assert!(!forged.stderr.contains("anb_forged"));
    with_token(&node, &directory, &writes, send).exits(0);
    with_token(&node, &directory, &writes, "table QueryTable").exits(3).says("scope `read`");
    with_token(&node, &directory, &reads, send).exits(3).says("scope `write`");
    with_token(&node, &directory, &reads, "ask ReadStream name=a").exits(0);
    with_token(&node, &directory, &reads, "status").exits(0);

    // All is told: the bad line, that nothing was taken, and why.
    let directory = directory.file("names.csv", "name,value\na,1\nb,2\nc\n");
    let play = "play names.csv --into UpdateStream";
    let came = with_token(&node, &directory, &reads, &format!("{play} --on-bad-line skip")).exits(3);
    assert!(!came.stderr.contains("no answer"), "{came:#?}");
    came.says("scope `write`").says("2 rows not taken");
    with_token(&node, &directory, &reads, play)
        .exits(1)
        .says("scope `write`")
        .says("stopped at the bad line");
    node.run(&directory, "flows --token-file none").exits(3).says("there is no such file");

    let directory = directory.file("token", format!("{reads}\n"));
    private(&directory, "token");
    node.run(&directory, "table QueryTable --token-file token").exits(0).prints_part("a");
    // Arguments are seen by everybody on the machine.
    node.run(&directory, "table QueryTable --token x").exits(2).says("--token");
}

#[test]
fn an_address_that_others_can_reach_needs_tls_and_tokens() {
    let directory = Directory::with_flow();
    let run = |more: &str| directory.run(&format!("run names.flow --listen 0.0.0.0:0 --exit {more}"));
    run("").exits(2).says("no TLS and tokens").says("--tls-cert FILE --tls-key FILE --tokens FILE");
    run("--insecure").exits(0);
    directory.run("run names.flow --http :0 --exit --allow-origin foo").exits(2).says("`foo` cannot be");
    directory.run("run names.flow --http :0 --exit --allow-host a:80").exits(2).says("leave out the port");
    directory.run("run names.flow --http 0.0.0.0:0 --exit").exits(2).says("no TLS and tokens");
    directory.run("run names.flow --listen :0 --exit --tls-cert x").exits(2).says("--tls-key");
}

#[test]
fn a_token_does_not_leave_the_machine_in_clear() {
    let directory = Directory::with_flow();
    let send = |more: &str| {
        let mut command = directory.command(&format!("flows --at 192.0.2.1:1 {more}"));
        command.env("ANABRANCH_TOKEN", "anb_secret").output().expect("it runs")
    };
    let came = send("");
    let told = String::from_utf8_lossy(&came.stderr);
    assert!(came.status.code() == Some(2) && told.contains("without TLS"), "{told}");
    assert!(told.contains("--ca-file FILE") && told.contains("--insecure"), "{told}");
}

#[test]
fn mistakes_in_a_file_of_tokens_are_told_at_once() {
    let directory = Directory::with_flow().file("tokens", "one two\na read,wirte * sha256:0\n");
    private(&directory, "tokens");
    let came = directory.run("run names.flow --listen :0 --exit --tokens tokens").exits(1);
    came.says("line 1: write NAME SCOPES FLOWS HASH")
        .says("line 2: a scope is")
        .says("line 2: the last word");
    directory.run("token new a/b --scope read").exits(2).says("a name has letters");
    directory.run("token new a --scope read --flow my#flow").exits(2).says("cannot name it");
    directory.run("token new a --scope reed").exits(2).says("a scope is `read`");
}

#[test]
fn a_node_with_a_certificate_of_the_page_is_reached_over_tls() {
    let page = include_str!("../../SECURITY.md");
    let (_, commands) = page.split_once("```sh\n").expect("the page has commands");
    let (commands, _) = commands.split_once("```").expect("a block ends");
    let directory = Directory::with_flow();
    let shell = Command::new("sh")
        .arg("-ec")
        .arg(commands)
        .current_dir(directory.path(""))
        .stderr(Stdio::null())
        .status();
    if !shell.is_ok_and(|status| status.success()) {
        println!("skipped: openssl is not there, or too old for the commands of the page");
        return;
    }
    let (directory, token) = token(directory, "all --scope read,write");
    let node = directory.serve("--tls-cert node.crt --tls-key node.key --tokens tokens");
    with_token(&node, &directory, &token, "send UpdateStream name=a value=1 --ca-file ca.crt").exits(0);
    with_token(&node, &directory, &token, "table QueryTable --ca-file ca.crt").exits(0).prints_part("a");
    with_token(&node, &directory, &token, "flows --tls").exits(3).says("authority");
    with_token(&node, &directory, &token, "flows").exits(3).says("speaks TLS").says("--ca-file");
}
