//! A request's body, whole and bounded in size and time.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use http_body_util::BodyExt;
use tokio::time::timeout;

use crate::app::SharedApp;
use crate::error::ApiError;

/// A body too long is read on this far and for this long, so that its sender sees the answer and
/// not a broken connection.
const SPILL_BYTES_MAX: usize = 8 * 1024 * 1024;
const SPILL_MAX: Duration = Duration::from_secs(2);

#[derive(Debug)]
pub struct BoundedBody(pub Bytes);

impl FromRequest<SharedApp> for BoundedBody {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &SharedApp) -> Result<Self, ApiError> {
        let limit = app.http.body_bytes_max;
        let read = timeout(app.http.body_read_max, read(request.into_body(), limit));
        read.await.map_err(|_| {
            ApiError::field("body", "did not arrive in time")
                .with_status(StatusCode::REQUEST_TIMEOUT)
        })?
    }
}

async fn read(mut body: Body, limit: usize) -> Result<BoundedBody, ApiError> {
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| ApiError::field("body", "is broken").because(error))?;
        let Ok(data) = frame.into_data() else { continue };
        if limit < bytes.len() + data.len() {
            let spilled = timeout(SPILL_MAX, spill(body)).await;
            tracing::debug!(whole = spilled.is_ok(), "a body was too long");
            let rule = format!("is longer than {limit} bytes");
            return Err(ApiError::field("body", rule).with_status(StatusCode::PAYLOAD_TOO_LARGE));
        }
        bytes.extend_from_slice(&data);
    }
    Ok(BoundedBody(bytes.into()))
}

/// Reads and forgets.
async fn spill(mut body: Body) {
    let mut spilled = 0;
    while let Some(Ok(frame)) = body.frame().await {
        spilled += frame.data_ref().map_or(0, Bytes::len);
        if SPILL_BYTES_MAX < spilled {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_body_over_the_limit_is_refused() {
        let whole = read(Body::from("1234"), 4).await.unwrap();
        assert_eq!(&whole.0[..], b"1234");
        let error = read(Body::from("12345"), 4).await.unwrap_err();
        assert_eq!(error.status, StatusCode::PAYLOAD_TOO_LARGE);
    }
}
