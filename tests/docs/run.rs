//! The how-tos, run as they stand: each page in a shell of its own, after what `make up` leaves.
//!
//! A block `console run` holds commands (`$ ...`) and what they print; `...` stands for anything in a line, and
//! alone in a line for any lines. A command ends with 0 unless `# ends with N` stands behind it. A block
//! `yaml file=NAME` is a file in the shell's folder. `console setup` is what the test's surroundings are already.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use regex::Regex;
use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use super::markdown::{Block, Page, ROOT, pages_below};
use crate::support::fake_vendor::FakeVendor;
use crate::support::process::Process;
use crate::support::world::World;

const KEY: &str = "sk-sample-0123456789abcdef0123456789abcdef";
/// Ends what a command printed; its code follows.
const MARK: &str = "\u{1}ended with ";

/// A command, and what it prints.
struct Step {
    line: usize,
    command: String,
    output: Vec<String>,
}

impl Step {
    fn code(&self) -> i32 {
        let (_, code) = self
            .command
            .rsplit_once("# ends with ")
            .unwrap_or(("", "0"));
        code.trim().parse().unwrap()
    }
}

fn steps(block: &Block) -> Vec<Step> {
    let mut steps = Vec::<Step>::new();
    for (offset, line) in block.lines.iter().enumerate() {
        let continues = steps
            .last()
            .is_some_and(|step| step.output.is_empty() && step.command.ends_with('\\'));
        match line.strip_prefix("$ ") {
            Some(command) => steps.push(Step {
                line: block.line + 1 + offset,
                command: command.to_owned(),
                output: Vec::new(),
            }),
            None if continues => {
                let step = steps.last_mut().unwrap();
                step.command.push('\n');
                step.command.push_str(line);
            }
            None => {
                let step = steps.last_mut().expect("a block begins with a command");
                step.output.push(line.clone());
            }
        }
    }
    steps
}

/// Whether what was printed is what the page shows. Columns may be of other widths.
fn shows(shown: &[String], printed: &str) -> bool {
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    let printed: Vec<String> = printed
        .lines()
        .map(words)
        .filter(|line| !line.is_empty())
        .collect();
    let shown = shown
        .iter()
        .map(|line| words(line))
        .filter(|line| !line.is_empty());
    let pattern: String = shown
        .map(|line| match line.as_str() {
            "..." => "(?:.*\n)*?".to_owned(),
            line => regex::escape(line).replace(r"\.\.\.", ".*") + "\n",
        })
        .collect();
    let text: String = printed.iter().map(|line| format!("{line}\n")).collect();
    Regex::new(&format!("^{pattern}$")).unwrap().is_match(&text)
}

/// What `make up` leaves: the sample manifests in force, and a shell that knows where everything is.
struct Shell {
    world: World,
    _vendor: FakeVendor,
    _controller: Process,
    api: Process,
    folder: tempfile::TempDir,
}

impl Shell {
    async fn after_make_up() -> Self {
        let vendor = FakeVendor::start(&[KEY], &["sample-chat-1"]).await;
        let world = World::new("docs").await;
        let controller = Process::controller(&world, &[]);
        let keyring = world.keyring_dir();
        let api = Process::api(
            &world,
            &[("LLMPLANE_KEYRING_DIR", keyring.to_str().unwrap())],
        );
        world.secret("sample-key", KEY).await;
        let manifests =
            std::fs::read_to_string(format!("{ROOT}/examples/first-run/manifests.yaml")).unwrap();
        let manifests = manifests.replace("VENDOR_URL/v1", &vendor.url());
        let apply = ["apply", "-n", world.ns(), "-f", "-"];
        let applied = world.plane.kubectl_with_input(&apply, &manifests).await;
        assert!(
            applied.status.success(),
            "{}",
            String::from_utf8_lossy(&applied.stderr)
        );
        for (kind, name) in [("LlmCredential", "sample-key"), ("LlmModel", "sample-chat")] {
            world.ready(kind, name).await;
        }
        api.ready().await;
        let folder = tempfile::tempdir().unwrap();
        let programs = folder.path().join("bin");
        std::fs::create_dir(&programs).unwrap();
        for name in ["llmplane", "kubectl-llm"] {
            symlink(env!("CARGO_BIN_EXE_llmplane"), programs.join(name)).unwrap();
        }
        symlink(world.plane.kubectl_program(), programs.join("kubectl")).unwrap();
        let mut config: Value =
            serde_json::from_slice(&std::fs::read(world.plane.kubeconfig()).unwrap()).unwrap();
        config["contexts"][0]["context"]["namespace"] = world.ns().into();
        std::fs::write(folder.path().join("kubeconfig"), config.to_string()).unwrap();
        Self {
            world,
            _vendor: vendor,
            _controller: controller,
            api,
            folder,
        }
    }

    /// Runs commands one after the other in one shell; what each printed, and its code.
    async fn run(&self, steps: &[&Step]) -> Vec<(String, i32)> {
        let mut script = String::from("set -o pipefail\n");
        for step in steps {
            script += &format!("{}\nprintf '\\n{MARK}%s\\n' $?\n", step.command);
        }
        let work = self.folder.path().join("work");
        let path = std::env::var("PATH").unwrap_or_default();
        let programs = self.folder.path().join("bin");
        let mut shell = Command::new("bash")
            .args(["-c", "exec 2>&1; source /dev/stdin"])
            .current_dir(&work)
            .env_clear()
            .env("PATH", format!("{}:{path}", programs.display()))
            .env("HOME", self.folder.path())
            .env("KUBECONFIG", self.folder.path().join("kubeconfig"))
            .env("API", format!("http://{}", self.api.listen()))
            .env("DATABASE_URL", &self.world.database.controller_url)
            .env("LLMPLANE_KEYRING_DIR", self.world.keyring_dir())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut stdin = shell.stdin.take().unwrap();
        stdin.write_all(script.as_bytes()).await.unwrap();
        drop(stdin);
        let ended = tokio::time::timeout(Duration::from_secs(300), shell.wait_with_output()).await;
        let output = ended
            .expect("a page's commands end within five minutes")
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let mut parts = Vec::new();
        let mut rest = text.as_str();
        while let Some((printed, after)) = rest.split_once(&format!("\n{MARK}")) {
            let (code, after) = after.split_once('\n').unwrap_or((after, ""));
            parts.push((printed.to_owned(), code.parse().unwrap()));
            rest = after;
        }
        parts
    }
}

/// Writes the files of a page, and answers its commands.
fn prepare(page: &Page, folder: &Path) -> Vec<Step> {
    let mut all = Vec::new();
    for block in &page.blocks {
        let words: Vec<&str> = block.words.iter().map(String::as_str).collect();
        match words[..] {
            ["console", "run"] => all.extend(steps(block)),
            ["console", "setup"] | ["text" | "python"] => {}
            ["yaml", file] => {
                let name = file.strip_prefix("file=").expect("a file's name");
                std::fs::write(folder.join(name), block.lines.join("\n") + "\n").unwrap();
            }
            _ => panic!(
                "{}:{}: no such block in a how-to: {words:?}",
                page.path.display(),
                block.line
            ),
        }
    }
    all
}

async fn runs(name: &str) {
    let shell = Shell::after_make_up().await;
    let work = shell.folder.path().join("work");
    std::fs::create_dir(&work).unwrap();
    let page = Page::read(&Path::new(ROOT).join("docs/howto").join(name));
    let steps = prepare(&page, &work);
    assert!(!steps.is_empty());
    let results = shell.run(&steps.iter().collect::<Vec<_>>()).await;
    let mut wrong = Vec::new();
    for (number, step) in steps.iter().enumerate() {
        let Some((printed, code)) = results.get(number) else {
            wrong.push(format!(
                "{name}:{}: was not reached: {}",
                step.line, step.command
            ));
            break;
        };
        if *code != step.code() || !shows(&step.output, printed) {
            wrong.push(format!(
                "{name}:{}: {}\nends with {code} and prints:\n{printed}",
                step.line, step.command
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_platform_engineers_commands_run() {
    runs("platform-engineer.md").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_agent_developers_commands_run() {
    runs("agent-developer.md").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_security_engineers_commands_run() {
    runs("security-engineer.md").await;
}

#[test]
fn every_how_to_is_run() {
    let source = include_str!("run.rs");
    for page in pages_below(&Path::new(ROOT).join("docs/howto")) {
        let name = page.file_name().unwrap().to_str().unwrap();
        assert!(
            source.contains(&format!("runs(\"{name}\")")),
            "{name} is not run"
        );
    }
}

#[test]
fn output_that_differs_is_told_from_output_that_is_shown() {
    let shown = |lines: &[&str]| {
        lines
            .iter()
            .map(|line| (*line).to_owned())
            .collect::<Vec<_>>()
    };
    assert!(shows(
        &shown(&["a  ... c", "...", "end"]),
        "a b c\n\nx\ny\nend\n"
    ));
    assert!(shows(&shown(&["..."]), ""));
    assert!(shows(&[], "\n"));
    assert!(!shows(&[], "something"));
    assert!(!shows(&shown(&["a"]), "a\nb"));
    assert!(!shows(&shown(&["a.b"]), "axb"));
    let block = Block {
        words: Vec::new(),
        lines: shown(&["$ one \\", "  two", "out", "$ three # ends with 2"]),
        line: 7,
    };
    let steps = steps(&block);
    assert_eq!(steps[0].command, "one \\\n  two");
    assert_eq!(
        (steps[0].output.as_slice(), steps[0].code()),
        (&shown(&["out"])[..], 0)
    );
    assert_eq!((steps[1].line, steps[1].code()), (11, 2));
}
