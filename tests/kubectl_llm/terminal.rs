//! A terminal: commands that run in one, and what stands in it as a picture.

use std::fmt::Write;

use super::{finished, program};
use crate::support::world::World;

/// Width and height of a character, and the room around all of them, in pixels.
const WIDTH: f64 = 8.4;
const HEIGHT: f64 = 19.0;
const ROOM: f64 = 16.0;

/// What `kubectl llm` shows in a terminal, with `NO_COLOR` set to this or not at all.
pub async fn in_terminal(world: &World, args: &[&str], no_color: Option<&str>) -> String {
    let kubectl = world.plane.kubectl_program().display();
    let line = format!("{kubectl} llm {} -n {}", args.join(" "), world.ns());
    // From util-linux: it runs a command in a terminal of its own, and prints what stands there.
    let mut script = program(world, "script");
    script.args(["--quiet", "--command", &line, "/dev/null"]);
    script.envs(no_color.map(|value| ("NO_COLOR", value)));
    let output = finished(script, "").await;
    String::from_utf8(output.stdout).unwrap()
}

/// Text of one colour.
struct Run<'a> {
    class: &'static str,
    text: &'a str,
}

/// Parts of a line by the colours that its escape sequences ask for.
fn runs(line: &str) -> Vec<Run<'_>> {
    let mut parts = line.split('\u{1b}');
    let first = parts.next().map(|text| Run { class: "", text });
    let others = parts.map(|part| {
        let (code, text) = part
            .split_once('m')
            .expect("an escape sequence sets a colour");
        let class = match code {
            "[0" => "",
            "[1" => "bold",
            "[2" => "faint",
            "[31" => "red",
            "[32" => "green",
            "[33" => "yellow",
            other => panic!("the picture has no colour for the sequence {other}m"),
        };
        Run { class, text }
    });
    first
        .into_iter()
        .chain(others)
        .filter(|run| !run.text.is_empty())
        .collect()
}

/// What stands in a terminal as an SVG, after the command that printed it. Each run has the width that its
/// characters have in a terminal, whatever font the reader's machine has.
pub fn svg(command: &str, printed: &str) -> String {
    let prompt = format!("\u{1b}[2m$\u{1b}[0m {command}");
    let lines: Vec<&str> = std::iter::once(prompt.as_str())
        .chain(printed.lines().map(|line| line.trim_end_matches('\r')))
        .collect();
    let length = |runs: &[Run<'_>]| -> usize { runs.iter().map(|r| r.text.chars().count()).sum() };
    let columns = lines.iter().map(|line| length(&runs(line))).max();
    let width = columns.unwrap_or(0) as f64 * WIDTH + 2.0 * ROOM;
    let height = lines.len() as f64 * HEIGHT + 2.0 * ROOM;
    let mut svg = format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" width="{width:.1}" height="{height:.1}" viewBox="0 0 {width:.1} {height:.1}" role="img">
<title>{command}</title>
<style>
  text {{ font: 14px ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; fill: #d6dae0; }}
  .bold {{ font-weight: bold; fill: #ffffff; }}
  .faint {{ fill: #8b949e; }}
  .red {{ fill: #ff7b72; }}
  .green {{ fill: #56d364; }}
  .yellow {{ fill: #e3b341; }}
</style>
<rect width="100%" height="100%" rx="8" fill="#161b22"/>
"##
    );
    for (row, line) in lines.iter().enumerate() {
        let y = ROOM + (row as f64 + 0.75) * HEIGHT;
        let mut column = 0;
        for run in runs(line) {
            let text = run.text.trim();
            let indent = run.text.chars().take_while(|char| *char == ' ').count();
            let x = ROOM + (column + indent) as f64 * WIDTH;
            let long = text.chars().count() as f64 * WIDTH;
            column += run.text.chars().count();
            if text.is_empty() {
                continue;
            }
            let class = match run.class {
                "" => String::new(),
                class => format!(r#" class="{class}""#),
            };
            let text = escaped(text);
            writeln!(
                svg,
                r#"<text{class} x="{x:.1}" y="{y:.1}" textLength="{long:.1}" lengthAdjust="spacingAndGlyphs">{text}</text>"#
            )
            .expect("a string takes it");
        }
    }
    svg + "</svg>\n"
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
