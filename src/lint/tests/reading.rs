//! How files are read: as kubectl reads them, in one pass, and never for ever.

use nix::sys::stat::Mode;
use nix::time::{ClockId, clock_gettime};

use super::*;

fn lint_bytes(bytes: &[u8]) -> Report {
    lint(&read_all(&["-".into()], &mut &bytes[..]))
}

fn utf16(text: &str) -> Vec<u8> {
    let units = std::iter::once(0xfeff).chain(text.encode_utf16());
    units.flat_map(u16::to_le_bytes).collect()
}

#[test]
fn what_is_no_file_is_refused_alone_and_in_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe.yaml");
    nix::unistd::mkfifo(&pipe, Mode::S_IRWXU).unwrap();
    std::os::unix::fs::symlink("/dev/zero", folder.path().join("zero.yaml")).unwrap();
    let alone = lint(&read_all(
        std::slice::from_ref(&pipe),
        &mut std::io::empty(),
    ));
    let said = "cannot be read: it is a named pipe, and only regular files are read";
    assert_eq!(alone.problems[0].message, said);
    let all = lint(&read_all(&[folder.path().into()], &mut std::io::empty()));
    assert_eq!(all.count(Severity::Error), 2, "{}", all.text());
    assert!(all.text().contains("it is a device"), "{}", all.text());
}

#[test]
fn a_pipe_that_the_shell_hands_over_is_read() {
    use std::io::Write;
    use std::os::fd::AsRawFd;
    let (reader, mut writer) = std::io::pipe().unwrap();
    writer
        .write_all(provider("{type: OpenAI}").as_bytes())
        .unwrap();
    drop(writer);
    let path = format!("/dev/fd/{}", reader.as_raw_fd());
    let report = lint(&read_all(&[path.into()], &mut std::io::empty()));
    assert_eq!((report.objects, report.text()), (1, String::new()));
}

#[test]
fn files_are_read_in_kubectl_s_encodings() {
    let two = format!("{}---\n{}", provider("{type: OpenAI}"), endpoint("x: 1"));
    let marked = format!(
        "\u{feff}{}---\n\u{feff}{}",
        provider("{type: OpenAI}"),
        endpoint("x: 1")
    );
    for bytes in [two.clone().into_bytes(), utf16(&two), marked.into_bytes()] {
        let report = lint_bytes(&bytes);
        let found: Vec<_> = report
            .problems
            .iter()
            .map(|p| (p.document, p.line, p.field.as_str()))
            .collect();
        assert_eq!(found, [(Some(2), Some(11), "spec.x")], "{bytes:?}");
        assert_eq!(report.objects, 2);
    }
}

#[test]
fn bytes_that_are_no_text_are_a_warning_at_their_line() {
    let mut bytes = provider("\n  type: OpenAI\n  displayName: caf").into_bytes();
    bytes.pop();
    bytes.extend(b"\xe9\n");
    let report = lint_bytes(&bytes);
    assert_eq!(report.count(Severity::Error), 0, "{}", report.text());
    assert_eq!(report.problems[0].line, Some(7));
    assert!(report.problems[0].message.contains("U+FFFD"));
}

#[test]
fn json_objects_may_follow_each_other() {
    let object = |name: &str, spec: &str| {
        format!(
            r#"{{"apiVersion":"llmplane.dev/v1alpha1","kind":"LlmProvider","metadata":{{"name":"{name}"}},"spec":{spec}}}"#
        )
    };
    let good = object("a", r#"{"type":"OpenAI","displayName":"\ud83d\ude00"}"#);
    let bad = object("b", "{\n\t\"type\":\"OpenAI\",\n\t\"x\": 1}");
    let report = lint_text(&format!("{good}{bad}\n"));
    assert_eq!(report.objects, 2, "{}", report.text());
    assert_eq!(report.problems.len(), 1, "{}", report.text());
    let found = &report.problems[0];
    assert_eq!((found.document, found.line), (Some(2), Some(3)));
    let twice = object("a", r#"{"type":"OpenAI","type":"OpenAI"}"#);
    assert!(problems(&twice)[0].1.contains("duplicate"));
}

#[test]
fn what_kubectl_refuses_or_passes_over_is_said_at_its_line() {
    let good = provider("{type: OpenAI}");
    let json = r#"{"apiVersion":"llmplane.dev/v1alpha1","kind":"LlmProvider","metadata":{"name":"a"},"spec":{"type":"OpenAI"}}"#;
    for (text, line, says) in [
        (format!("{good}--- {{a: b}}\n"), 6, "let --- stand alone"),
        (format!("{good}----\n"), 6, "let --- stand alone"),
        (format!("{good}...\n{good}"), 7, "kubectl passes over"),
        (format!("# c\n{json}{json}"), 2, "a line of `---`"),
        (format!("{json}{json}\n---\n{good}"), 2, "else than JSON"),
        (format!("---\n{good}---\na: [\n---\n{good}"), 8, "YAML"),
    ] {
        let report = lint_text(&text);
        let found: Vec<_> = report
            .problems
            .iter()
            .filter(|p| p.field.is_empty())
            .collect();
        assert_eq!(found.len(), 1, "{text}\n{}", report.text());
        assert_eq!(found[0].line, Some(line), "{text}\n{}", report.text());
        assert!(found[0].message.contains(says), "{}", report.text());
    }
}

#[test]
fn one_document_that_cannot_be_read_does_not_hide_the_others() {
    let text = format!("a: [\n---\n{}", provider("{type: Nobody}"));
    let report = lint_text(&text);
    assert_eq!(report.count(Severity::Error), 2, "{}", report.text());
    assert_eq!(report.problems[1].document, Some(2));
}

#[test]
fn more_documents_than_a_parser_s_bound_are_read() {
    let text = vec![endpoint("region: a"); 1100].join("---\n");
    assert_eq!(lint_text(&text).objects, 1100);
}

/// Processor time of this thread, in nanoseconds: other load does not count.
fn spent(work: impl FnOnce()) -> i64 {
    let now = || {
        let time = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).unwrap();
        time.tv_sec() * 1_000_000_000 + time.tv_nsec()
    };
    let before = now();
    work();
    now() - before
}

/// Four times as much costs about four times as much, where each with each other costs sixteen times.
#[test]
fn the_cost_grows_as_the_file_does() {
    let items =
        |count: usize, item: &dyn Fn(usize) -> String| -> String { (0..count).map(item).collect() };
    type Shape<'a> = (&'a str, &'a dyn Fn(usize) -> String);
    let unknown = |n: usize| {
        let fields = items(n, &|i| format!("  field{i}: x\n"));
        provider(&format!("\n  type: OpenAI\n{fields}"))
    };
    let list = |n: usize| {
        let list = items(n, &|i| format!("\n    - a{i}"));
        provider(&format!(
            "\n  type: OpenAI\n  modelSync:\n    include:{list}"
        ))
    };
    let flow = |n: usize| {
        let list = items(n, &|i| format!("a{i},"));
        provider(&format!(
            "{{type: OpenAI, modelSync: {{include: [{list}]}}}}"
        ))
    };
    let headers = |n: usize| {
        let list = items(n, &|i| format!("{{name: X-{i}, value: v}},"));
        endpoint(&format!("headers: [{list}]"))
    };
    let nulls = |n: usize| {
        let list = items(n, &|_| "{name: X-A, value: },".to_owned());
        endpoint(&format!("headers: [{list}]"))
    };
    let labels = |n: usize| {
        let labels = items(n, &|i| format!("    label{i}: '-'\n"));
        provider("{type: OpenAI}")
            .replace("  name: p\n", &format!("  name: p\n  labels:\n{labels}"))
    };
    let documents = |n: usize| {
        items(n / 4, &|i| {
            endpoint(&format!("credentialRefs: [{{name: c{i}}}]"))
                .replace("name: e", &format!("name: e{i}"))
                .replace("name: p", &format!("name: p{i}"))
                + "---\n"
        })
    };
    let tenants = |n: usize| {
        items(n / 4, &|i| {
            let tenant = format!("metadata: {{namespace: n{i}}}");
            let one = provider("{type: OpenAI}") + "---\n" + &endpoint("region: a") + "---\n";
            one.replace(
                "metadata:\n  name",
                &format!("metadata:\n  namespace: n{i}\n  name"),
            )
            .replace(&tenant, "")
        })
    };
    let json = |n: usize| {
        items(n / 4, &|i| {
            format!(
                r#"{{"apiVersion":"llmplane.dev/v1alpha1","kind":"LlmModel","metadata":{{"name":"m{i}"}},"spec":{{"providerRef":{{"name":"p{i}"}},"modelId":"m"}}}}"#
            )
        })
    };
    let shapes: [Shape<'_>; 9] = [
        ("unknown fields", &unknown),
        ("a list", &list),
        ("a list in brackets", &flow),
        ("headers", &headers),
        ("nulls", &nulls),
        ("labels", &labels),
        ("documents", &documents),
        ("tenants", &tenants),
        ("JSON objects", &json),
    ];
    for (name, shape) in shapes {
        let cost = |size| spent(|| drop(lint_bytes(shape(size).as_bytes())));
        cost(10);
        // What disturbs a measurement makes it larger: one of three that is small is the true one.
        let mut ratios = (0..3).map(|_| cost(4 * SIZE) as f64 / cost(SIZE) as f64);
        let grows_alike = ratios.any(|ratio| ratio < 9.0);
        assert!(
            grows_alike,
            "{name}: more than 9 times for four times as much"
        );
    }
}

/// Large enough for what grows with the square to outweigh the rest.
const SIZE: usize = 1000;
