//! The picture of `kubectl llm status` in the README: what the terminal shows in the scene of `picture.yaml`.
//! With `PICTURES=docs/images` it is made anew, as the console's are.

use std::path::Path;

use regex::Regex;

use super::terminal::{in_terminal, svg};
use super::{KEY, tells};
use crate::support::{fake_vendor::FakeVendor, world::World};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const FILE: &str = "kubectl-llm-status.svg";

#[tokio::test(flavor = "multi_thread")]
async fn the_picture_in_the_readme_is_what_a_terminal_shows() {
    let vendor = FakeVendor::start(&[KEY], &["sample-chat-1", "sample-embed-1"]).await;
    let world = World::started("pluginpicture").await;
    let scene = include_str!("picture.yaml")
        .replace("VENDOR_URL", &vendor.url())
        .replace("VENDOR_KEY", KEY);
    let apply = ["apply", "-n", world.ns(), "-f", "-"];
    let applied = world.plane.kubectl_with_input(&apply, &scene).await;
    assert!(applied.status.success(), "{applied:?}");
    let wanted = [
        "6 of 14 objects",
        "ProbeFailed",
        "LlmModel/llama",
        "KeyRejected",
        "LlmModel/mistral-embed, LlmModel/mistral-large, LlmModelClass/chat",
    ];
    tells(&world, &["status"], 1, &wanted).await;
    let shown = in_terminal(&world, &["status"], None).await;
    let shown = shown.replace(world.ns(), "team-a");
    let picture = svg("kubectl llm status", &shown);

    if let Some(folder) = std::env::var_os("PICTURES") {
        let file = Path::new(ROOT).join(folder).join(FILE);
        std::fs::write(file, &picture).unwrap();
    }
    let kept = std::fs::read_to_string(format!("{ROOT}/docs/images/{FILE}")).unwrap();
    let time = Regex::new(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ").unwrap();
    assert!(
        time.replace_all(&kept, "TIME") == time.replace_all(&picture, "TIME"),
        "the kept picture shows something else; make it anew with PICTURES=docs/images if this is right:\n{shown}"
    );
    let readme = std::fs::read_to_string(format!("{ROOT}/README.md")).unwrap();
    assert!(readme.contains(&format!("(docs/images/{FILE})")));
}
