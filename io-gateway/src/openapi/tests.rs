//! The document and the code say the same.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::OnceLock;

use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use clap::Parser;
use tower::ServiceExt;

use super::*;
use crate::app::{App, SharedApp};
use crate::config::{Args, Config};
use crate::routes;

const LISTING: &str = include_str!("../../../exchange.toml");
const ADMIN_TOKEN: &str = "a-token-of-some-length";

#[derive(Clone, Copy, PartialEq, Eq)]
enum Administered {
    Yes,
    No,
}

/// Of the listing in this repository; nothing it connects to is there.
fn app(administered: Administered) -> SharedApp {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("exchange.toml");
    std::fs::write(&path, LISTING).unwrap();
    let args = Args::parse_from([Path::new("io-gateway"), Path::new("--config"), &path]);
    let mut config = Config::load(args).unwrap();
    config.admin_token = (administered == Administered::Yes).then(|| ADMIN_TOKEN.to_owned());
    App::new(&config).unwrap()
}

async fn answer(app: &SharedApp, method: &str, path: &str) -> (StatusCode, String) {
    let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
    let response = routes::router(app.clone(), None).oneshot(request).await.unwrap();
    let status = response.status();
    let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

async fn document(administered: Administered) -> Value {
    let (status, text) = answer(&app(administered), "GET", "/openapi.json").await;
    assert_eq!(status, StatusCode::OK);
    serde_json::from_str(&text).unwrap()
}

/// Whether `value` is as the document says of `schema`; the complaints if not.
pub fn complaints(schema: &str, value: &Value) -> Vec<String> {
    static DOCUMENT: OnceLock<Value> = OnceLock::new();
    let document = DOCUMENT.get_or_init(|| {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(document(Administered::Yes))
    });
    let schema = json!({
        "$ref": format!("#/components/schemas/{schema}"),
        "components": document["components"],
    });
    let validator = jsonschema::validator_for(&schema).unwrap();
    validator.iter_errors(value).map(|error| error.to_string()).collect()
}

/// For the tests of answers: the document must be true of them.
pub fn assert_described(schema: &str, answer: &impl serde::Serialize) {
    let answer = serde_json::to_value(answer).unwrap();
    let complaints = complaints(schema, &answer);
    assert!(complaints.is_empty(), "{schema}: {complaints:#?} in {answer:#}");
}

/// Path, method and what is said of it.
fn operations(document: &Value) -> Vec<(&str, &str, &Value)> {
    let mut operations = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            operations.push((path.as_str(), method.as_str(), operation));
        }
    }
    operations
}

#[tokio::test]
async fn the_document_is_openapi_and_the_same_when_read_again() {
    let document = document(Administered::Yes).await;
    assert_eq!(document["openapi"], "3.1.0");
    let read: Document = serde_json::from_value(document.clone()).unwrap();
    let again = serde_json::to_value(&read).unwrap();
    assert_eq!(
        again["paths"].as_object().unwrap().len(),
        document["paths"].as_object().unwrap().len()
    );
}

#[tokio::test]
async fn the_operations_are_those_of_the_golden_list() {
    let document = document(Administered::Yes).await;
    let lines = operations(&document).into_iter().map(|(path, method, operation)| {
        let method = method.to_uppercase();
        match operation["x-instruction"].as_str() {
            Some(instruction) => format!("{method} {path} {instruction}"),
            None => format!("{method} {path}"),
        }
    });
    let found: BTreeSet<String> = lines.collect();
    let golden = include_str!("../../golden/operations.txt").lines().map(str::to_owned).collect();
    assert_eq!(found, golden, "{found:#?}");
}

/// With it, `routes!` is the only way to a route, and what it registers is in the document.
#[test]
fn no_route_is_added_behind_the_document_s_back() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/routes");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = files.filter(|path| !path.ends_with("docs.rs")).collect();
    files.push(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/routes.rs"));
    assert!(files.len() > 8);
    for path in files {
        let text = std::fs::read_to_string(&path).unwrap();
        for hidden in [".route(", ".route_service(", ".nest(", ".nest_service("] {
            assert!(!text.contains(hidden), "{hidden} in {}", path.display());
        }
    }
}

#[tokio::test]
async fn every_operation_is_served() {
    let app = app(Administered::Yes);
    let document = document(Administered::Yes).await;
    for (path, method, _) in operations(&document) {
        let path = path.replace("{symbol}", "SOL_USDC").replace("{id}", "1");
        let (status, body) = answer(&app, &method.to_uppercase(), &path).await;
        let unknown = [StatusCode::NOT_FOUND, StatusCode::METHOD_NOT_ALLOWED];
        assert!(!unknown.contains(&status), "{method} {path}: {status} {body}");
    }
}

#[tokio::test]
async fn what_a_browser_may_do_asks_for_its_session() {
    let document = document(Administered::No).await;
    let session = json!([{"session": []}]);
    let changing = json!([{"session": [], "csrfToken": []}]);
    for (path, method, expected, forbids) in [
        ("/auth/v1/signup", "post", json!([]), false),
        ("/auth/v1/login", "post", json!([]), false),
        ("/auth/v1/me", "get", session.clone(), false),
        ("/auth/v1/keys", "get", session, false),
        ("/auth/v1/logout", "post", changing.clone(), true),
        ("/auth/v1/keys", "post", changing.clone(), true),
        ("/auth/v1/keys", "delete", changing.clone(), true),
        ("/auth/v1/faucet", "post", changing, true),
    ] {
        let operation = &document["paths"][path][method];
        assert_eq!(operation["security"], expected, "{method} {path}");
        let responses = operation["responses"].as_object().unwrap();
        assert_eq!(responses.contains_key("403"), forbids, "{method} {path}");
        let knows_who = path == "/auth/v1/signup" || responses.contains_key("401");
        assert!(knows_who && responses.contains_key("429"), "{method} {path}");
    }
}

#[tokio::test]
async fn administration_is_described_where_it_is_served() {
    let document = document(Administered::No).await;
    assert!(operations(&document).iter().all(|(path, _, _)| !path.starts_with("/admin/")));
    assert!(!document.to_string().contains("EXCHANGE_ADMIN_TOKEN"));
}

fn each_reference<'d>(value: &'d Value, found: &mut Vec<&'d str>) {
    match value {
        Value::Object(members) => {
            found.extend(members.get("$ref").and_then(Value::as_str));
            members.values().for_each(|member| each_reference(member, found));
        }
        Value::Array(items) => items.iter().for_each(|item| each_reference(item, found)),
        _ => (),
    }
}

#[tokio::test]
async fn every_reference_leads_somewhere() {
    for administered in [Administered::Yes, Administered::No] {
        let document = document(administered).await;
        let mut references = Vec::new();
        each_reference(&document, &mut references);
        assert!(references.len() > 100);
        for reference in references {
            let pointer = reference.strip_prefix('#').unwrap();
            assert!(document.pointer(pointer).is_some(), "{reference}");
        }
    }
}

#[tokio::test]
async fn every_operation_has_its_own_id_a_tag_of_the_list_and_a_text() {
    let document = document(Administered::Yes).await;
    let tags = document["tags"].as_array().unwrap();
    let tags: Vec<&Value> = tags.iter().map(|tag| &tag["name"]).collect();
    let mut ids = BTreeSet::new();
    for (path, method, operation) in operations(&document) {
        assert!(ids.insert(operation["operationId"].as_str().unwrap()), "{method} {path}");
        let own = operation["tags"].as_array().unwrap();
        assert!(own.len() == 1 && tags.contains(&&own[0]), "{method} {path}: {own:?}");
        assert!(operation["summary"].is_string(), "{method} {path}");
    }
}

#[tokio::test]
async fn only_listed_markets_and_assets_are_words_of_requests() {
    let document = document(Administered::Yes).await;
    let schemas = &document["components"]["schemas"];
    assert!(schemas["ListedMarket"]["enum"].as_array().unwrap().contains(&"SOL_USDC".into()));
    assert!(schemas["ListedAsset"]["enum"].as_array().unwrap().contains(&"USDC".into()));
}

#[tokio::test]
async fn the_page_needs_no_other_host() {
    let app = app(Administered::No);
    let (status, page) = answer(&app, "GET", "/docs/").await;
    assert_eq!(status, StatusCode::OK);
    assert!(!page.contains("//"), "{page}");
    for file in ["swagger-ui.css", "swagger-ui-bundle.js", "swagger-initializer.js"] {
        assert!(page.contains(file), "{file}");
        let (status, _) = answer(&app, "GET", &format!("/docs/{file}")).await;
        assert_eq!(status, StatusCode::OK, "{file}");
    }
    let (_, start) = answer(&app, "GET", "/docs/swagger-initializer.js").await;
    assert!(start.contains("\"/openapi.json\""), "{start}");
    assert_eq!(answer(&app, "GET", "/docs").await.0, StatusCode::SEE_OTHER);
}

#[test]
fn an_answer_that_is_not_as_described_is_noticed() {
    let depth = json!({"asks": [["1"]], "bids": [], "lastUpdateId": "0", "timestamp": 0});
    assert_eq!(complaints("Depth", &depth).len(), 1);
    let error = json!({"code": "NO_SUCH_CODE", "message": ""});
    assert_eq!(complaints("Error", &error).len(), 1);
}
