//! The dead man's switch: all open orders of the account are cancelled unless it is called again in
//! time.

use axum::extract::State;
use axum::response::Response;
use protocol::{Action, MarketId, Outcome};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{json, orders};
use crate::app::SharedApp;
use crate::auth::Instruction;
use crate::body::BoundedBody;
use crate::caller::Caller;
use crate::error::ApiError;
use crate::openapi::order_bodies::CancelAfter;
use crate::openapi::values::Milliseconds;
use crate::parameters::Parameters;

pub const TIMEOUT_MS_MIN: u32 = 1_000;
pub const TIMEOUT_MS_MAX: u32 = 3_600_000;

pub fn routes() -> OpenApiRouter<SharedApp> {
    OpenApiRouter::new().routes(routes!(cancel_after))
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = CancelAfterSet)]
struct CancelAfterJson {
    /// By the engine's time; null: switched off.
    #[schema(value_type = Option<Milliseconds>, required)]
    trigger_at: Option<u64>,
}

/// Cancels all open orders of the account, in all markets, unless it is called again in time.
#[utoipa::path(
    post, path = "/api/v1/orders/cancelAfter", operation_id = "cancelAfter", tag = "Orders",
    extensions(("x-instruction" = json!(Instruction::OrderCancelAfter.name()))),
    request_body = CancelAfter,
    responses((status = 200, description = "Success", body = CancelAfterJson)),
)]
async fn cancel_after(
    State(app): State<SharedApp>,
    caller: Caller,
    BoundedBody(body): BoundedBody,
) -> Result<Response, ApiError> {
    let parameters = [Parameters::from_body(&body)?];
    let account = app.signed(&caller, Instruction::OrderCancelAfter, &parameters).await?;
    let timeout_ms = timeout_ms(&parameters[0])?;
    let holder = Action::OWN_SWITCH;
    let action = Action::SetCancelAfter { account, holder, timeout_ms };
    let decision = orders::submit(&app, MarketId::ACCOUNTS, action).await?;
    let Outcome::CancelAfterSet { deadline_us } = decision.outcome else {
        let outcome = decision.outcome;
        return Err(ApiError::bug(format_args!("a cancel after became {outcome:?}")));
    };
    // Rounded up: nothing is cancelled before the time told.
    let trigger_at = (deadline_us != 0).then(|| deadline_us.div_ceil(1000));
    json(&CancelAfterJson { trigger_at })
}

pub fn timeout_ms(parameters: &Parameters<'_>) -> Result<u32, ApiError> {
    let given = parameters.unsigned("timeoutMs")?.ok_or_else(|| ApiError::missing("timeoutMs"))?;
    let timeout_ms = u32::try_from(given).ok();
    timeout_ms.filter(|ms| *ms == 0 || (TIMEOUT_MS_MIN..=TIMEOUT_MS_MAX).contains(ms)).ok_or_else(
        || {
            let range = format_args!("must be 0, or {TIMEOUT_MS_MIN} to {TIMEOUT_MS_MAX}");
            ApiError::field("timeoutMs", range)
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_of_seconds_to_an_hour_or_none() {
        let read = |body: &str| timeout_ms(&Parameters::from_body(body.as_bytes()).unwrap());
        for good in [0, 1_000, 3_600_000] {
            assert_eq!(read(&format!("{{\"timeoutMs\":{good}}}")), Ok(good));
        }
        let bad = ["{}", r#"{"timeoutMs":999}"#, r#"{"timeoutMs":3600001}"#];
        for bad in bad.into_iter().chain([r#"{"timeoutMs":4294967296}"#, r#"{"timeoutMs":-1}"#]) {
            let error = read(bad).unwrap_err();
            assert_eq!(error.status.as_u16(), 400, "{bad}");
            assert!(error.message.contains("timeoutMs"), "{}", error.message);
        }
    }
}
