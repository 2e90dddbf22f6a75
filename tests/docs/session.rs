//! A shell in which a page's commands run one after the other, as its reader would type them.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::Instant;

use super::steps::{End, Step, shows};

/// Ends what a command printed; its code follows.
const ENDED: &str = "\u{1}ended with ";
/// Before the number of a command that runs until it is interrupted.
const RUNS: &str = "\u{1}runs as ";
const DEADLINE: Duration = Duration::from_secs(120);

/// Reads commands that end with a NUL byte; they themselves read nothing.
const LOOP: &str = r#"exec 2>&1 3<&0 </dev/null
set -o pipefail
while IFS= read -r -d "" -u 3 step; do
    eval "$step" 3<&-
    printf '\n\001ended with %s\n' $?
done"#;

pub struct Session {
    shell: Child,
    commands: ChildStdin,
    output: ChildStdout,
    /// What was read, and told to nobody yet.
    read: Vec<u8>,
}

/// What became of a command.
pub struct Ended {
    pub printed: String,
    pub code: i32,
}

impl Session {
    /// A shell in a folder, with a home and an environment.
    pub fn start(folder: &Path, environment: &[(&str, &str)]) -> Self {
        // What a test is started by may ignore Ctrl-C, and a shell cannot change that for itself.
        let mut shell = Command::new("env")
            .args([
                "--default-signal=INT",
                "bash",
                "--noprofile",
                "--norc",
                "-c",
                LOOP,
            ])
            .current_dir(folder)
            .env_clear()
            .envs(environment.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        Self {
            commands: shell.stdin.take().unwrap(),
            output: shell.stdout.take().unwrap(),
            shell,
            read: Vec::new(),
        }
    }

    /// Runs a command to its end.
    pub async fn run(&mut self, command: &str) -> Ended {
        self.type_in(command).await;
        let deadline = Instant::now() + DEADLINE;
        let printed = self.until(ENDED, deadline).await;
        let code = self.until("\n", deadline).await;
        Ended {
            printed,
            code: code.trim().parse().unwrap_or(-1),
        }
    }

    /// Runs a page's command; why it does not do what the page says.
    pub async fn takes(&mut self, step: &Step) -> Result<(), String> {
        // What a page does not show has to succeed, an answer of the API's included.
        let home = if step.output.is_some() {
            "HOME"
        } else {
            "STRICT"
        };
        self.run(&format!("export CURL_HOME=\"${home}\"")).await;
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let (ended, wanted) = match step.end() {
                End::Interrupted => (self.interrupt(step).await, 0),
                End::Code(code) => (self.run(&step.command).await, code),
                End::Eventually => (self.run(&step.command).await, 0),
            };
            let output = step.output.as_ref();
            let is_shown = output.is_none_or(|output| shows(output, &ended.printed));
            if ended.code == wanted && is_shown {
                return Ok(());
            }
            if step.end() != End::Eventually || Instant::now() > deadline {
                let (code, printed) = (ended.code, ended.printed);
                return Err(format!("ends with {code} and prints:\n{printed}"));
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// Runs a command until it has printed what is shown, or anything, and ends it as Ctrl-C does.
    async fn interrupt(&mut self, step: &Step) -> Ended {
        let command = &step.command;
        // With job control, so that the signal is not ignored and reaches no other process.
        self.type_in(&format!(
            "set -m\n{{ {command}\n}} & set +m\nprintf '\\n\\001runs as %s\\n' $!\nwait $!\ncode=$?\n[ $code = 0 ] || [ $code = 130 ]"
        ))
        .await;
        let deadline = Instant::now() + DEADLINE;
        let before = self.until(RUNS, deadline).await;
        let number = self.until("\n", deadline).await;
        let group = Pid::from_raw(number.trim().parse().unwrap());
        loop {
            let text = before.clone() + &String::from_utf8_lossy(&self.read);
            let is_enough = match &step.output {
                Some(output) => shows(output, &text),
                None => !text.trim().is_empty(),
            };
            if is_enough || text.contains(ENDED) || !self.more(deadline).await {
                break;
            }
        }
        let ran = killpg(group, Signal::SIGINT).is_ok();
        let deadline = Instant::now() + DEADLINE;
        let printed = before + &self.until(ENDED, deadline).await;
        let code = self.until("\n", deadline).await;
        let code = code.trim().parse().unwrap_or(-1);
        Ended {
            printed,
            code: if ran { code } else { -1 },
        }
    }

    async fn type_in(&mut self, command: &str) {
        let typed = [command.as_bytes(), b"\0"].concat();
        // A shell that is gone prints no end, which tells of it.
        let _ = self.commands.write_all(&typed).await;
    }

    /// What is printed up to a text, which is left out; all of it where the text does not come in time.
    async fn until(&mut self, text: &str, deadline: Instant) -> String {
        loop {
            let found = self
                .read
                .windows(text.len())
                .position(|it| it == text.as_bytes());
            if let Some(at) = found {
                let rest = self.read.split_off(at + text.len());
                let mut before = std::mem::replace(&mut self.read, rest);
                before.truncate(at);
                return String::from_utf8_lossy(&before).into_owned();
            }
            if !self.more(deadline).await {
                let all = std::mem::take(&mut self.read);
                return String::from_utf8_lossy(&all).into_owned() + "\n(did not end)";
            }
        }
    }

    /// Reads on; false where nothing more comes in time.
    async fn more(&mut self, deadline: Instant) -> bool {
        let read = self.output.read_buf(&mut self.read);
        matches!(tokio::time::timeout_at(deadline, read).await, Ok(Ok(1..)))
    }
}

impl Drop for Session {
    /// With whatever runs in it.
    fn drop(&mut self) {
        if let Some(id) = self.shell.id() {
            let _ = killpg(Pid::from_raw(id.cast_signed()), Signal::SIGKILL);
        }
    }
}
