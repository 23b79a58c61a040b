//! HTTP to services on this machine: every call has a deadline, every status is an answer.

use std::time::Duration;

use serde_json::Value;
use ureq::http::{Method, Request};

use crate::error::{Result, XtaskError};

/// Status and body.
pub type Answer = (u16, String);

pub fn get(url: &str, within: Duration) -> Result<Answer> {
    call(Method::GET, url, &[], None, within)
}

/// A body goes as JSON; DELETE may carry one too.
pub fn call(
    method: Method,
    url: &str,
    headers: &[(&str, &str)],
    body: Option<&Value>,
    within: Duration,
) -> Result<Answer> {
    let no_answer =
        |cause: ureq::Error| XtaskError::NoAnswer { url: url.to_owned(), cause: Box::new(cause) };
    let config = ureq::Agent::config_builder()
        .timeout_global(Some(within))
        .http_status_as_error(false)
        .proxy(None)
        .build();
    let agent = config.new_agent();
    let mut request = Request::builder().method(method).uri(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = match body {
        None => request.body(()).map(|request| agent.run(request)),
        Some(body) => {
            let request = request.header("Content-Type", "application/json");
            request.body(body.to_string()).map(|request| agent.run(request))
        }
    };
    let mut response = answer.map_err(|cause| no_answer(cause.into()))?.map_err(no_answer)?;
    let text = response.body_mut().read_to_string().map_err(no_answer)?;
    Ok((response.status().as_u16(), text))
}

/// The answer as JSON when the status is 2xx, else an error with the body in it.
pub fn expect_json(url: &str, answer: Answer) -> Result<Value> {
    let (status, body) = answer;
    if !(200..300).contains(&status) {
        return Err(XtaskError::Refused { url: url.to_owned(), status, body });
    }
    let what = format!("the answer of {url}");
    serde_json::from_str(&body).map_err(|cause| XtaskError::Json { what, cause })
}
