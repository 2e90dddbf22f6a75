//! Commands of the documentation that the pages' own test ([`super::run`]) does not run: which test does, or whose
//! service they ask. A command that is new is run there, unless somebody gives it a row here.

use std::collections::BTreeSet;
use std::path::Path;

use super::markdown::ROOT;
use super::run::{name, pages};
use super::steps::{Step, steps};

/// A command that is not run by the pages' own test, as [`Step::plain`] has it, `...` for any rest of it; and who runs it.
pub type Elsewhere = (&'static str, By);

pub enum By {
    /// A test does what it does: its file, and what stands there for it.
    Test(&'static str, &'static [&'static str]),
    /// Another page has the same, and is run.
    Page(&'static str),
    /// It takes a service, or a program, that no test has: which one.
    Nobody(&'static str),
}

use By::{Nobody, Page, Test};

const PROCESS: &str = "tests/support/process.rs";
const CLUSTER: &str = "tests/cluster/run";
const NODE: &str = "examples/cluster/lib";

#[rustfmt::skip]
const ELSEWHERE: &[Elsewhere] = &[
    // What builds, and what is a test itself.
    ("make up", Test("tests/docs/plane.rs", &["/examples/first-run/up"])),
    ("make test", Test(".ci/run", &["make test"])),
    ("make image", Test("tests/image.rs", &["/packaging/image"])),
    ("make test-cluster", Test(CLUSTER, &["all checks passed"])),
    ("make test-cluster PROFILE=debug", Test(CLUSTER, &["all checks passed"])),
    ("pip wheel --no-deps clients/python", Test("clients/python/tests/test_contract.py", &["pip wheel --quiet --no-deps"])),
    // Processes at ports that the machine may have given to others.
    ("DATABASE_URL=$CONTROLLER_URL LLMPLANE_LEASE_NAMESPACE=llmplane-system LLMPLANE_ADMIN_LISTEN=127.0.0.1:8081 llmplane controller &", Test(PROCESS, &["Self::start controller usual settings", "LLMPLANE_LEASE_NAMESPACE"])),
    ("DATABASE_URL=$API_URL LLMPLANE_ADMIN_LISTEN=127.0.0.1:8082 llmplane api &", Test(PROCESS, &["Self::start api usual settings"])),
    // What takes a node.
    ("helm install llmplane charts/llmplane -n llmplane-system --wait", Test(CLUSTER, &["helm install llmplane $work/former ${values @ } --wait"])),
    ("helm test llmplane -n llmplane-system", Test(CLUSTER, &["helm test llmplane"])),
    ("kubectl -n llmplane-system exec deploy/llmplane-controller -- llmplane keyring status", Test(CLUSTER, &["in_system exec deployment/$deployment -- llmplane"])),
    ("sudo apt-get install containerd runc containernetworking-plugins nftables iproute2", Test(".ci/install", &["missing+= containerd", "missing+= runc", "missing+= containernetworking-plugins", "nft:nftables ip:iproute2", "apt-get install -y"])),
    ("sudo llmplane local up --node", Test(NODE, &["$llmplane local up --node"])),
    ("llmplane local up --node --empty", Test(NODE, &["$llmplane local up --node --empty"])),
    ("llmplane local node -- ctr images import - < image.tar", Test(NODE, &["$llmplane local node --state-dir $state -- $@", "on_node ctr images import -"])),
    ("make up CLUSTER=1", Test(CLUSTER, &["make up CLUSTER=1"])),
    ("make down CLUSTER=1", Test(CLUSTER, &["make down CLUSTER=1"])),
    ("kubectl -n llmplane-system wait --for=condition=Complete --timeout=60s job/llmplane-preflight", Test(CLUSTER, &["kubectl -n llmplane-system wait --for=condition=Complete --timeout=60s job/llmplane-preflight"])),
    ("kubectl -n llmplane-system logs job/llmplane-preflight", Test(CLUSTER, &["kubectl -n llmplane-system logs job/llmplane-preflight"])),
    ("kubectl get pods -A", Test(CLUSTER, &["kubectl get pods -A"])),
    ("kubectl get llm -A", Test(CLUSTER, &["kubectl get llm -A"])),
    ("kubectl exec agent -- curl ...", Test(CLUSTER, &["kubectl exec agent -- curl"])),
    // What another page runs.
    ("llmplane preflight -n llmplane-system -f values.yaml", Page("charts/llmplane/README.md")),
    // Nobody.
    ("make fuzz", Nobody("a nightly toolchain, and cargo-fuzz")),
    ("FUZZ_SECONDS=60 fuzz/run vendor_answer", Nobody("the same")),
    ("cargo +nightly fuzz run vendor_answer ...", Nobody("the same")),
    ("pip install ...", Nobody("the package index, and LangChain's packages from it")),
    ("oras cp ...", Nobody("oras, and a registry that keeps referrers")),
    ("cosign attest ...", Nobody("cosign, and the signer's identity at Sigstore")),
    ("kubectl krew install ...", Nobody("Krew, from GitHub")),
    ("kubeconform ...", Nobody("kubeconform, from GitHub; the schemas themselves are tested")),
];

/// The row of a command that is run elsewhere.
pub fn elsewhere(page: &str, step: &Step) -> Option<&'static Elsewhere> {
    let command = step.plain();
    let mut rows = ELSEWHERE.iter().filter(|(wanted, by)| {
        let is_it = match wanted.strip_suffix("...") {
            Some(begin) => command.starts_with(begin),
            None => command == *wanted,
        };
        is_it && step.is_shown && !matches!(by, Page(of) if *of == page)
    });
    rows.next()
}

/// Words with one space between them, without what a shell, Rust and Python write around them.
fn words(text: &str) -> String {
    let bare = text.replace(['"', '\'', ',', '&', '[', ']', '(', ')', '\\'], " ");
    bare.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn read(path: &str) -> String {
    let path = Path::new(ROOT).join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Of a command the words that say what it does: subcommands and flags, after the program.
fn telling(command: &str) -> (String, Vec<String>) {
    let all = command
        .trim_end_matches("...")
        .split_whitespace()
        .skip_while(|it| it.contains('=') || *it == "sudo");
    let mut all = all.map(str::to_owned);
    let program = all.next().unwrap_or_default();
    let mut telling = Vec::new();
    let mut has_flags = false;
    for word in all {
        let is_flag = word.starts_with("--") && word != "--";
        has_flags |= word.starts_with('-') && word != "--";
        let is_name = word
            .chars()
            .all(|it| it.is_alphanumeric() || "-_+".contains(it));
        if is_flag || !has_flags && is_name {
            telling.push(word.split('=').next().unwrap().to_owned());
        }
    }
    (program, telling)
}

/// The recipe of a target.
fn recipe(target: &str) -> String {
    let makefile = read("Makefile");
    let lines = makefile.lines();
    let of_target = lines
        .skip_while(|line| !line.starts_with(&format!("{target}:")))
        .skip(1);
    of_target
        .take_while(|line| line.starts_with('\t'))
        .collect()
}

/// Whether a file is part of what tests run: of the behaviour tests, or named by what is.
fn is_run(file: &str) -> bool {
    let is_rust = file.starts_with("tests/") && file.ends_with(".rs");
    let starts = ["Makefile", ".ci/run", CLUSTER];
    // Tests in another language are started by the `run` beside them.
    let beside = file
        .rsplit_once('/')
        .map(|(folder, _)| format!("{folder}/run"));
    let names = |start: &str| {
        let text = read(start);
        text.contains(file) || beside.as_ref().is_some_and(|it| text.contains(it))
    };
    is_rust || starts.contains(&file) || starts.into_iter().any(names)
}

/// Why a row does not say where its command is run.
fn wrong((command, by): &Elsewhere) -> Option<String> {
    match by {
        Nobody(whose) => whose.is_empty().then(|| format!("{command}: whose?")),
        Page(of) => {
            let pages = pages();
            let page = pages.iter().find(|page| name(page) == *of)?;
            let is_there = steps(page).iter().any(|step| step.plain() == *command);
            (!is_there).then(|| format!("{of} has no {command}"))
        }
        Test(file, texts) => {
            let content = words(&read(file));
            if let Some(text) = texts.iter().find(|text| !content.contains(&words(text))) {
                return Some(format!("{command}: {file} has no {text}"));
            }
            if !is_run(file) {
                return Some(format!("{command}: nothing runs {file}"));
            }
            let (program, mut telling) = telling(command);
            let has = |word: &str| texts.iter().any(|text| words(text).contains(word));
            if program == "make" {
                let recipe = recipe(&telling.remove(0));
                let is_it = recipe.contains(file)
                    || texts
                        .iter()
                        .any(|it| recipe.contains(it.trim_start_matches('/')));
                return (!is_it && !has(command)).then(|| format!("{command}: is not in {file}"));
            }
            let missing = telling.iter().find(|word| !has(word));
            let missing =
                missing.or(Some(&program).filter(|it| !content.contains(*it) && file != it));
            missing.map(|word| format!("{command}: {word} is not in {file}"))
        }
    }
}

#[test]
fn what_is_not_run_with_its_page_is_run_by_the_test_that_is_named_or_asks_who_is_named() {
    let wrong: Vec<String> = ELSEWHERE.iter().filter_map(wrong).collect();
    assert_eq!(wrong, [""; 0]);
    let (mut here, mut by_tests, mut by_nobody) = (0, 0, 0);
    let mut used = BTreeSet::new();
    for page in pages() {
        for step in steps(&page).iter().filter(|step| step.is_shown) {
            match elsewhere(&name(&page), step) {
                None => here += 1,
                Some((begin, by)) => {
                    used.insert(*begin);
                    match by {
                        Nobody(_) => by_nobody += 1,
                        Test(..) | Page(_) => by_tests += 1,
                    }
                }
            }
        }
    }
    println!("{here} with their page, {by_tests} by another test, {by_nobody} by nobody");
    let all = ELSEWHERE.iter().map(|(begin, _)| *begin);
    let unused: Vec<&str> = all.filter(|begin| !used.contains(begin)).collect();
    assert_eq!(unused, [""; 0], "no page shows them any more");
}

#[test]
fn a_row_that_no_test_bears_out_is_found() {
    let file = "tests/image.rs";
    for row in [
        (
            "helm test llmplane",
            Test(CLUSTER, &["helm nothing llmplane"]),
        ),
        (
            "helm rollback llmplane",
            Test(CLUSTER, &["helm test llmplane"]),
        ),
        (
            "helm test llmplane --logs",
            Test(CLUSTER, &["helm test llmplane"]),
        ),
        (
            "ctr images list",
            Test("tests/image.rs", &["/packaging/image"]),
        ),
        ("make krew", Test(file, &["/packaging/image"])),
        ("make test", Test("LICENSE", &["Apache License"])),
        ("llmplane nothing", Page("README.md")),
        ("oras cp", Nobody("")),
    ] {
        assert!(wrong(&row).is_some(), "{}", row.0);
    }
    assert_eq!(
        telling("A=1 sudo helm test x --logs -n y z/w").1,
        ["test", "x", "--logs"]
    );
}
