//! TAB: what kubectl offers after `kubectl llm`, and the scripts for who calls `kubectl-llm` itself.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::plugin_path;
use crate::support::plane::Plane;

const COMMANDS: [&str; 8] = [
    "status",
    "tree",
    "why",
    "check",
    "resolve",
    "holders",
    "rotate",
    "completion",
];

/// What a program of ours prints, with the plugin's folder on the PATH.
fn printed(program: &Path, folder: &Path, args: &[&str]) -> String {
    let ran = Command::new(program)
        .args(args)
        .env("PATH", plugin_path(folder))
        .output()
        .unwrap();
    assert!(ran.status.success(), "{args:?}: {ran:?}");
    String::from_utf8(ran.stdout).unwrap()
}

/// What kubectl offers for the last of these words after `kubectl llm`, and what the shell is to do.
async fn offered(args: &[&str]) -> (Vec<String>, String) {
    let kubectl = Plane::shared().await.kubectl_program();
    let folder = tempfile::tempdir().unwrap();
    let args = [&["__completeNoDesc", "llm"], args].concat();
    let text = printed(kubectl, folder.path(), &args);
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let directive = lines.pop().expect("the last line says what to do");
    (lines, directive)
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_completes_the_plugins_words() {
    let (commands, _) = offered(&[""]).await;
    for command in COMMANDS {
        assert!(
            commands.contains(&command.to_owned()),
            "{command}: {commands:?}"
        );
    }
    // No files are offered in their place.
    let only = |word: &str| (vec![word.to_owned()], ":4".to_owned());
    assert_eq!(offered(&["st"]).await, only("status"));
    assert_eq!(offered(&["-n", "team-a", "ro"]).await, only("rotate"));
    assert_eq!(offered(&["status", "-o", "ya"]).await, only("yaml"));
    assert_eq!(
        offered(&["rotate", "c", "--output=n"]).await,
        only("--output=name")
    );
    assert_eq!(offered(&["resolve", "--prefer", "p"]).await, only("price"));
    let (formats, _) = offered(&["rotate", "-o", ""]).await;
    assert_eq!(formats, ["text", "json", "yaml", "name"]);
    let (flags, _) = offered(&["rotate", "--"]).await;
    for flag in ["--field", "--force", "--output", "--namespace", "--context"] {
        assert!(flags.contains(&flag.to_owned()), "{flag}: {flags:?}");
    }
    assert!(!flags.contains(&"--api-url".to_owned()), "{flags:?}");
    let (names, directive) = offered(&["why", ""]).await;
    assert_eq!((names, directive), (vec![], ":4".to_owned()));
}

#[test]
fn what_is_offered_is_told_with_what_it_is_for() {
    let folder = tempfile::tempdir().unwrap();
    let _ = plugin_path(folder.path());
    let completer = folder.path().join("plugins/kubectl_complete-llm");
    let text = printed(&completer, folder.path(), &["status", "-o", "n"]);
    assert_eq!(text, "name\tThe names alone, as kubectl takes them\n:4\n");
    // A folder is no whole path: no space follows.
    std::fs::create_dir(folder.path().join("configs")).unwrap();
    let part = format!("{}/conf", folder.path().display());
    let text = printed(&completer, folder.path(), &["--kubeconfig", &part]);
    assert_eq!(text, format!("{part}igs/\n:6\n"));
}

#[test]
fn each_shell_has_a_script_with_every_command() {
    let folder = tempfile::tempdir().unwrap();
    let _ = plugin_path(folder.path());
    let plugin: PathBuf = folder.path().join("plugins/kubectl-llm");
    for (shell, own) in [
        ("bash", "-o default kubectl-llm\n"),
        ("zsh", "#compdef kubectl-llm"),
        ("fish", "complete -c kubectl-llm"),
    ] {
        let script = printed(&plugin, folder.path(), &["completion", shell]);
        assert!(script.contains(own), "{shell}: {script}");
        for command in COMMANDS {
            assert!(script.contains(command), "{shell} lacks {command}");
        }
        for flag in ["all-namespaces", "output", "min-context-window"] {
            assert!(script.contains(flag), "{shell} lacks --{flag}");
        }
    }
}
