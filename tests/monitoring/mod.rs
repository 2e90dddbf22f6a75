//! Alerts and the dashboard: each asks for a metric that the processes have, with labels that it has, fires
//! where it should, and says where to read on.

mod asked;
mod measured;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::LazyLock;

use kube::api::Patch;
use regex::Regex;
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use crate::support::fake_vendor::FakeVendor;
use crate::support::process::{Process, viewer};
use crate::support::tools::tool;
use crate::support::world::World;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const KEY: &str = "sk-test-0123456789abcdef";

fn read(path: &str) -> String {
    std::fs::read_to_string(Path::new(ROOT).join(path)).unwrap()
}

fn yaml(path: &str) -> Value {
    serde_saphyr::from_str(&read(path)).unwrap()
}

/// Every rule of `alerts.yaml`.
fn rules() -> Vec<Value> {
    let file = yaml("manifests/monitoring/alerts.yaml");
    let groups = file["groups"].as_array().unwrap().iter();
    groups
        .flat_map(|group| group["rules"].as_array().unwrap().clone())
        .collect()
}

fn alerts() -> Vec<Value> {
    let mut rules = rules();
    rules.retain(|rule| rule["alert"].is_string());
    rules
}

/// Every query of the dashboard, with its panel's title.
fn queries() -> Vec<(String, String)> {
    let dashboard: Value =
        serde_json::from_str(&read("manifests/monitoring/dashboard.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    panels
        .flat_map(|panel| {
            let targets = panel["targets"].as_array().into_iter().flatten();
            targets.map(|target| (text(&panel["title"]), text(&target["expr"])))
        })
        .collect()
}

/// A condition on a label.
struct Selector {
    label: String,
    /// Those that it names, where it names any: `5..` does not.
    values: Vec<String>,
}

/// Metrics of an expression, each with what it is selected by.
fn asked(expression: &str) -> Vec<(String, Vec<Selector>)> {
    static METRIC: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"\b(llmplane[a-z0-9_:]*)\b(?:\{([^}]*)\})?").unwrap());
    static SELECTOR: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r#"([a-z_]+)\s*(?:=~|!~|!=|=)\s*"([^"]*)""#).unwrap());
    static WORDS: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"^[A-Za-z0-9_|-]+$").unwrap());
    let found = METRIC.captures_iter(expression).map(|metric| {
        let selectors = metric.get(2).map_or("", |selectors| selectors.as_str());
        let selectors = SELECTOR.captures_iter(selectors).map(|selector| {
            let words = WORDS.is_match(&selector[2]).then_some(&selector[2]);
            let values = words.into_iter().flat_map(|words| words.split('|'));
            Selector {
                label: selector[1].to_owned(),
                values: values.map(str::to_owned).collect(),
            }
        });
        (metric[1].to_owned(), selectors.collect())
    });
    found.collect()
}

/// Labels that an expression keeps or joins by.
fn kept(expression: &str) -> BTreeSet<String> {
    static BY: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\bby \(([^)]*)\)").unwrap());
    let names = BY.captures_iter(expression).flat_map(|by| {
        let names: Vec<String> = by[1]
            .split(',')
            .map(|name| name.trim().to_owned())
            .collect();
        names
    });
    names.collect()
}

/// OpenMetrics as the older text format, which promtool reads: a counter's family has its samples' name there.
fn as_text_format(metrics: &str) -> String {
    let counters: BTreeSet<&str> = metrics
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.strip_suffix(" counter"))
        .collect();
    let mut text = String::new();
    for line in metrics.lines() {
        let mut words = line.splitn(4, ' ');
        let (hash, word, name) = (words.next(), words.next(), words.next());
        match (hash, word, name) {
            (Some("#"), Some("UNIT" | "EOF"), _) => continue,
            (Some("#"), Some(word), Some(name)) if counters.contains(name) => {
                let rest = words.next().unwrap_or_default();
                text += &format!("# {word} {name}_total {rest}\n");
            }
            _ => text += &format!("{line}\n"),
        }
    }
    text
}

fn promtool(folder: &Path, args: &[&str], input: &str) -> Output {
    let mut child = Command::new(tool("promtool"))
        .args(args)
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    std::io::Write::write_all(&mut stdin, input.as_bytes()).unwrap();
    drop(stdin);
    child.wait_with_output().unwrap()
}

fn passes(output: &Output) {
    let said = [output.stdout.clone(), output.stderr.clone()].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(output.status.success(), "{said}");
}

/// What both processes have in `/metrics` after they did something of each kind.
async fn metrics() -> &'static (String, String) {
    static METRICS: OnceCell<(String, String)> = OnceCell::const_new();
    METRICS.get_or_init(scraped).await
}

async fn scraped() -> (String, String) {
    let vendor = FakeVendor::start(&[KEY], &["gpt-a"]).await;
    let world = World::new("metrics").await;
    let controller = Process::controller(&world, &[]);
    world.secret("s", KEY).await;
    world.apply_basics(&vendor.url()).await;
    world.model("m", "gpt-a").await;
    let expires = json!({ "spec": { "expiresAt": "2100-01-01T00:00:00Z" } });
    world
        .dynamic("LlmCredential")
        .patch("c", &Default::default(), &Patch::Merge(&expires))
        .await
        .unwrap();
    let retires = json!({ "spec": { "retiresAt": "2100-01-01T00:00:00Z" } });
    world
        .dynamic("LlmModel")
        .patch("m", &Default::default(), &Patch::Merge(&retires))
        .await
        .unwrap();
    world.ready("LlmModel", "m").await;

    let folder = tempfile::tempdir().unwrap();
    let certificate = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let file = |name: &str, text: String| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (cert, key) = (
        file("tls.crt", certificate.cert.pem()),
        file("tls.key", certificate.signing_key.serialize_pem()),
    );
    let keyring = world.keyring_dir();
    let by_tls = [
        ("LLMPLANE_KEYRING_DIR", keyring.to_str().unwrap()),
        ("LLMPLANE_TLS_CERT", &cert),
        ("LLMPLANE_TLS_KEY", &key),
    ];
    let api = Process::api(&world, &by_tls);
    api.ready().await;
    let root = reqwest::Certificate::from_pem(certificate.cert.pem().as_bytes()).unwrap();
    let client = reqwest::Client::builder().tls_certs_only([root]).no_proxy();
    let asked = client
        .build()
        .unwrap()
        .get(format!("https://{}/api/v1/models/m", api.listen()))
        .bearer_auth(viewer(&world).await)
        .send()
        .await
        .unwrap();
    assert_eq!(asked.status(), 200);
    let text = async |process: &Process| process.admin("/metrics").await.1;
    (text(&controller).await, text(&api).await)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_query_asks_for_what_the_processes_measure() {
    let (controller, api) = metrics().await;
    let mut known = measured::samples(&[controller, api]);
    // What the alerts record, and what Prometheus adds to each sample that it scrapes.
    for rule in rules() {
        known.extend(
            rule["record"]
                .as_str()
                .map(|name| (name.to_owned(), BTreeMap::new())),
        );
    }
    let scraped = BTreeSet::from(["pod", "instance"].map(str::to_owned));

    let mut expressions = queries();
    assert!(expressions.len() > 30, "the dashboard has queries");
    for rule in rules() {
        let name = rule["alert"].as_str().or(rule["record"].as_str()).unwrap();
        expressions.push((name.to_owned(), rule["expr"].as_str().unwrap().to_owned()));
    }
    for (title, expression) in expressions {
        let metrics = asked(&expression);
        assert!(
            !metrics.is_empty(),
            "{title}: {expression} asks for nothing"
        );
        let mut labels = scraped.clone();
        for (metric, selected) in metrics {
            let Some(has) = known.get(&metric) else {
                panic!("{title}: nobody measures {metric}");
            };
            for Selector { label, values } in selected {
                let Some(measured) = has.get(&label) else {
                    panic!("{title}: {metric} has no label {label}");
                };
                for value in values {
                    assert!(
                        measured.contains(&value),
                        "{title}: {metric} has never {label}={value}"
                    );
                }
            }
            labels.extend(has.keys().cloned());
        }
        for label in kept(&expression) {
            assert!(
                label.is_empty() || labels.contains(&label),
                "{title}: nothing has the label {label}"
            );
        }
    }
    for text in [controller, api] {
        let text = as_text_format(text);
        passes(&promtool(Path::new(ROOT), &["check", "metrics"], &text));
    }
}

/// A family whose name breaks the conventions is found.
#[test]
fn promtool_refuses_a_metric_that_is_named_otherwise() {
    let text = as_text_format(
        "# HELP llmplane_reads Reads\n# TYPE llmplane_reads gauge\nllmplane_reads_total 1\n",
    );
    assert!(
        !promtool(Path::new(ROOT), &["check", "metrics"], &text)
            .status
            .success()
    );
}

const TESTS: [&str; 2] = ["alerts.test.yaml", "disclosures.test.yaml"];

#[test]
fn alerts_fire_where_they_should_and_are_silent_elsewhere() {
    let folder = tempfile::tempdir().unwrap();
    let rules = folder.path().join("alerts.yaml");
    std::fs::write(&rules, read("manifests/monitoring/alerts.yaml")).unwrap();
    passes(&promtool(
        folder.path(),
        &["check", "rules", "alerts.yaml"],
        "",
    ));
    for name in TESTS {
        let tests = read(&format!("tests/monitoring/{name}"));
        std::fs::write(folder.path().join(name), tests).unwrap();
        passes(&promtool(folder.path(), &["test", "rules", name], ""));
    }
}

#[test]
fn the_dashboards_queries_are_promql() {
    let folder = tempfile::tempdir().unwrap();
    let rules: Vec<Value> = queries()
        .iter()
        .enumerate()
        .map(|(number, (_, query))| json!({ "record": format!("query:{number}"), "expr": query }))
        .collect();
    let file = json!({ "groups": [{ "name": "dashboard", "rules": rules }] });
    std::fs::write(folder.path().join("queries.yaml"), file.to_string()).unwrap();
    passes(&promtool(
        folder.path(),
        &["check", "rules", "queries.yaml"],
        "",
    ));
}

#[test]
fn each_alert_is_seen_to_fire_and_to_be_silent() {
    let (mut fires, mut silent) = (BTreeSet::new(), BTreeSet::new());
    for name in TESTS {
        let file = yaml(&format!("tests/monitoring/{name}"));
        for case in file["tests"].as_array().unwrap() {
            for moment in case["alert_rule_test"].as_array().unwrap() {
                let alert = moment["alertname"].as_str().unwrap().to_owned();
                match moment["exp_alerts"].as_array() {
                    Some(expected) if !expected.is_empty() => fires.insert(alert),
                    _ => silent.insert(alert),
                };
            }
        }
    }
    let names: BTreeSet<String> = alerts()
        .iter()
        .map(|alert| alert["alert"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(fires, names);
    assert_eq!(silent, names);
}

#[test]
fn each_alert_says_where_to_read_what_to_do() {
    let operations = read("docs/operations.md");
    for alert in alerts() {
        let name = alert["alert"].as_str().unwrap();
        let anchor = format!("docs/operations.md#{}", name.to_lowercase());
        let url = alert["annotations"]["runbook_url"].as_str().unwrap();
        assert!(url.ends_with(&anchor), "{name}: {url}");
        let heading = format!("\n### {name}\n");
        assert!(
            operations.contains(&heading),
            "{name} has no section in docs/operations.md"
        );
        let severity = alert["labels"]["severity"].as_str().unwrap();
        assert!(["critical", "warning"].contains(&severity), "{name}");
        for text in ["summary", "description"] {
            assert!(
                alert["annotations"][text].is_string(),
                "{name} has no {text}"
            );
        }
    }
}

#[test]
fn panels_have_numbers_of_their_own_and_do_not_overlap() {
    let dashboard: Value =
        serde_json::from_str(&read("manifests/monitoring/dashboard.json")).unwrap();
    let mut ids = BTreeSet::new();
    let mut cells = BTreeSet::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        assert!(
            ids.insert(panel["id"].as_u64().unwrap()),
            "{}",
            panel["title"]
        );
        let side = |name: &str| panel["gridPos"][name].as_u64().unwrap();
        let (x, y, width, height) = (side("x"), side("y"), side("w"), side("h"));
        assert!(x + width <= 24, "{}", panel["title"]);
        for cell in (x..x + width).flat_map(|x| (y..y + height).map(move |y| (x, y))) {
            assert!(cells.insert(cell), "{} overlaps", panel["title"]);
        }
    }
}
