//! A tenant's vendor that answers as much as it may costs the tenant's own checks, and nobody else.

use llmplane::crd::ProviderType::OpenAICompatible;
use serde_json::json;

use crate::support::{
    fake_vendor::FakeVendor,
    plane::eventually,
    process::Process,
    vendors::{Fake, Fault},
    world::World,
};

/// What `manifests/base` gives a controller, less what the rest of the machine may need meanwhile.
const MEMORY: usize = 448 * 1024 * 1024;
const ANSWER: usize = 8 * 1024 * 1024;

/// `before`, as many of these as make a large answer, and `after`.
fn large(before: &str, of: &str, after: &str) -> Fault {
    let count = (ANSWER - before.len() - after.len()) / of.len();
    let mut body = before.to_owned() + &of.repeat(count);
    body.truncate(body.len() - 1);
    Fault::Body(body + after)
}

/// The most memory that a process ever held, in bytes.
fn peak(process: &Process) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let kib = line.unwrap().split_whitespace().nth(1).unwrap();
    1024 * kib.parse::<usize>().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn large_answers_of_small_values_do_not_end_the_controller() {
    let shapes = [
        large("[", "[0],", "]"),
        large(r#"{"data":["#, "[0],", "]}"),
        large(r#"{"data":["#, r#"{"id":"m"},"#, "]}"),
        large(r#"{"error":["#, "{},", "]}"),
        large(r#"{"data":[{"id":"a","b":["#, "[[]],", "]}]}"),
        large(r#"{"data":[{"id":"a","b":{"#, r#""c":[],"#, "}}]}"),
    ];
    let world = World::new("large-answers").await;
    let mut process = Process::controller(&world, &[]);
    world
        .provider("p", json!({ "modelSync": { "enabled": true } }))
        .await;
    let mut vendors: Vec<Fake> = Vec::new();
    for (number, shape) in shapes.into_iter().enumerate() {
        let vendor = Fake::of(OpenAICompatible).await;
        vendor.fail(shape);
        let more = json!({ "healthCheck": { "periodSeconds": 5 } });
        world
            .endpoint(&format!("e{number}"), &vendor.url(), more)
            .await;
        vendors.push(vendor);
    }
    world.model("m", "m").await;
    eventually("each vendor was asked again and again", async || {
        vendors.iter().all(|vendor| vendor.calls() >= 4)
    })
    .await;
    assert!(process.runs(), "{}", process.log());
    assert!(peak(&process) < MEMORY, "{} bytes", peak(&process));
    // Nothing of such lists is kept, and another's is read as ever.
    let kept: i64 = sqlx::query_scalar("SELECT count(*) FROM listed_models")
        .fetch_one(&mut world.owner().await)
        .await
        .unwrap();
    assert!(kept <= 2, "{kept} rows");
    let good = FakeVendor::start(&[""], &["good"]).await;
    world.endpoint("good", &good.url(), json!({})).await;
    world.ready("LlmEndpoint", "good").await;
}
