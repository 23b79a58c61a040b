//! The refusals that operations of one kind share, each with the one shape of an error.

use serde_json::{Value, json};

/// Name, status and meaning.
const REFUSALS: [(&str, &str, &str); 9] = [
    ("Invalid", "400", "Refused as it stands: correct the request"),
    ("Unauthorized", "401", "Who calls is not known, or may not"),
    ("Forbidden", "403", "The key may not do this, or not from here; or no CSRF token came"),
    ("NotInTime", "408", "The body was not there in time"),
    ("TooLarge", "413", "The body is too long"),
    ("TooMany", "429", "Too many requests: nothing has happened, wait for `Retry-After`"),
    ("Fault", "500", "A fault of the exchange; treat a write as after 504"),
    ("Unavailable", "503", "Nothing has happened: try again shortly"),
    ("NoAnswer", "504", "No answer in time; of a write it is not known whether it happened"),
];

/// The components the references of [`of`] lead to.
pub fn responses() -> Value {
    let response = |(name, _, meaning): (&str, &str, &str)| {
        let schema = json!({"$ref": "#/components/schemas/Error"});
        let mut response = json!({
            "description": meaning,
            "content": {"application/json": {"schema": schema}},
        });
        if ["TooMany", "Unavailable"].contains(&name) {
            response["headers"] = json!({"Retry-After": {
                "description": "Seconds", "schema": {"type": "integer", "minimum": 1},
            }});
        }
        (name.to_owned(), response)
    };
    Value::Object(REFUSALS.into_iter().map(response).collect())
}

/// Status and name of each refusal that follows from what an operation takes.
pub fn of(guarded: bool, operation: &Value) -> Vec<(&'static str, &'static str)> {
    let has_body = operation.get("requestBody").is_some();
    let takes = has_body || guarded || operation.get("parameters").is_some();
    let asks_csrf = operation["security"].to_string().contains("csrfToken");
    let applies = |name: &str| match name {
        "Fault" | "TooMany" => true,
        "Unauthorized" => guarded,
        "Forbidden" => asks_csrf,
        "NotInTime" | "TooLarge" => has_body,
        "Invalid" | "Unavailable" | "NoAnswer" => takes,
        _ => false,
    };
    REFUSALS
        .into_iter()
        .filter(|(name, _, _)| applies(name))
        .map(|(name, status, _)| (status, name))
        .collect()
}
