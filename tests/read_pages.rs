//! Lists of the read API page by page: in every order, and while rows come and go.

use llmplane::crd::Kind;
use llmplane::crd::model::{Capability, ModelCapability};
use llmplane::db::DeclaredModel;
use uuid::Uuid;

use crate::support::api::{TestApi, models};

/// Every order, and what these models are in it: without a value they come last either way, and the
/// name decides between equals.
const ORDERS: [(&str, &str); 10] = [
    ("name", "a b c d e f"),
    ("-name", "f e d c b a"),
    ("created_at", "d b c e a f"),
    ("-created_at", "f a e b c d"),
    ("context_window", "c a d e b f"),
    ("-context_window", "e a d c b f"),
    ("price", "b f d e a c"),
    ("-price", "b a d f e c"),
    ("score", "d a f e b c"),
    ("-score", "b e a f d c"),
];

/// By capability, so that there is a score to sort by.
const LIST: &str = "/models?capability=Chat&capability=Vision";

/// Six models that stand elsewhere in every order.
fn six(api: &TestApi, provider: Uuid) -> Vec<DeclaredModel> {
    type Price = Option<(&'static str, &'static str, Option<&'static str>)>;
    let model = |name, minute, window, price: Price, scores: (i32, Option<i32>)| {
        let mut model = api.model(provider, name);
        model.created_at = format!("2026-03-04T05:0{minute}:00Z").parse().unwrap();
        model.context_window = window;
        (model.currency, model.input_price, model.output_price) = match price {
            Some((currency, input, output)) => (
                Some(currency.to_owned()),
                Some(input.to_owned()),
                output.map(str::to_owned),
            ),
            None => (None, None, None),
        };
        let capability = |name, score| ModelCapability { name, score };
        model.capabilities = vec![
            capability(Capability::Chat, Some(scores.0)),
            capability(Capability::Vision, scores.1),
        ];
        model
    };
    let dollars = |input, output| Some(("USD", input, output));
    vec![
        model(
            "a",
            4,
            Some(8_000),
            dollars("0.2", Some("0.5")),
            (3, Some(5)),
        ),
        model("b", 2, None, Some(("EUR", "0.9", Some("1"))), (5, Some(5))),
        model("c", 2, Some(1_000), None, (4, None)),
        model(
            "d",
            1,
            Some(8_000),
            dollars("0.10", Some("0.5")),
            (1, Some(2)),
        ),
        model("e", 3, Some(200_000), dollars("0.1", None), (5, Some(4))),
        model("f", 5, None, dollars("0.1", Some("0.25")), (3, Some(3))),
    ]
}

/// Another model that differs in its name alone.
fn beside(model: &DeclaredModel) -> DeclaredModel {
    let mut beside = model.clone();
    beside.uid = Uuid::new_v4();
    beside.name.push('0');
    beside.model_id.push('0');
    beside
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_every_size_are_the_list_in_every_order() {
    let api = TestApi::start().await;
    let viewer = api.viewer().await;
    let provider = api.provider("openai").await;
    api.write(models(six(&api, provider))).await;
    for (sort, order) in ORDERS {
        let order: Vec<_> = order.split(' ').collect();
        for limit in 1..=7 {
            let path = format!("{LIST}&sort={sort}&limit={limit}");
            let pages = viewer.pages(&path).await;
            let names: Vec<_> = pages.iter().map(|page| page.names()).collect();
            assert_eq!(names, order.chunks(limit).collect::<Vec<_>>(), "{path}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_come_and_go_between_pages_neither_repeat_nor_hide_others_in_any_order() {
    let api = TestApi::start().await;
    let viewer = api.viewer().await;
    let provider = api.provider("openai").await;
    for (sort, order) in ORDERS {
        let six = six(&api, provider);
        let mut uids: Vec<_> = six.iter().map(|model| model.uid).collect();
        let order: Vec<_> = order.split(' ').collect();
        let find = |name: &str| six.iter().find(|model| model.name == name).unwrap().clone();
        let [first, fourth, fifth] = [0, 3, 4].map(|index| find(order[index]));
        api.write(models(six)).await;
        let page = viewer.get(&format!("{LIST}&sort={sort}&limit=3")).await;
        assert_eq!(page.names(), order[..3], "{sort}");

        let (before, behind) = (beside(&first), beside(&fourth));
        uids.extend([before.uid, behind.uid]);
        let mut rest = vec![
            fourth.name.clone(),
            behind.name.clone(),
            order[5].to_owned(),
        ];
        if sort == "-name" {
            rest.swap(0, 1);
        }
        api.write(models(vec![before, behind])).await;
        api.delete(Kind::Model, &[first.uid, fifth.uid]).await;
        let cursor = page.next_cursor().unwrap();
        let path = format!("{LIST}&sort={sort}&cursor={cursor}");
        assert_eq!(viewer.get(&path).await.names(), rest, "{sort}");
        api.delete(Kind::Model, &uids).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_is_of_one_order_alone() {
    let api = TestApi::start().await;
    let viewer = api.viewer().await;
    let provider = api.provider("openai").await;
    api.write(models(six(&api, provider))).await;
    for (sort, _) in ORDERS {
        let page = viewer.get(&format!("{LIST}&sort={sort}&limit=3")).await;
        let cursor = page.next_cursor().unwrap();
        for (other, _) in ORDERS {
            let path = format!("{LIST}&sort={other}&cursor={cursor}");
            let expected = if other == sort { 200 } else { 400 };
            let answer = viewer.get(&path).await;
            assert_eq!(answer.status, expected, "{path}: {}", answer.text);
        }
        // A list without a word is by name.
        let unsorted = viewer.get(&format!("{LIST}&cursor={cursor}")).await;
        let expected = if sort == "name" { 200 } else { 400 };
        assert_eq!(unsorted.status, expected, "{sort}");
    }
}

/// Many large rows, of which a page could hold a hundredth of the memory that a replica has.
#[tokio::test(flavor = "multi_thread")]
async fn a_page_ends_at_its_bytes_and_goes_on_behind_them() {
    const ROWS: usize = 60;
    let api = TestApi::start().await;
    let viewer = api.viewer().await;
    let provider = api.provider("openai").await;
    let large = (0..ROWS).map(|number| {
        let mut model = api.model(provider, &format!("m{number:02}"));
        let text = "x".repeat(300 << 10).into();
        model.default_parameters = Some([("text".to_owned(), text)].into_iter().collect());
        model
    });
    api.write(models(large.collect())).await;
    for sort in ["name", "-created_at"] {
        let pages = viewer
            .pages(&format!("/models?limit=900&sort={sort}"))
            .await;
        let mut names: Vec<_> = pages.iter().flat_map(|page| page.names()).collect();
        names.sort();
        let all: Vec<_> = (0..ROWS).map(|number| format!("m{number:02}")).collect();
        assert_eq!(names, all, "{sort}");
        for page in &pages {
            assert!(page.text.len() < 1100 << 10, "{} bytes", page.text.len());
            assert!(page.names().len() <= 3, "{:?}", page.names());
        }
    }
}
