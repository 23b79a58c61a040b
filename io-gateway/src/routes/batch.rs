//! Up to twenty orders in one request, each standing alone, executed in the order given.
//!
//! Markets are decided on by different threads of the engine. So neighbours of one market go out
//! together, and a change of market waits for the replies before it.

use axum::extract::State;
use axum::response::Response;
use protocol::{AccountId, Action};
use serde::Serialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{json, orders};
use crate::admission::{self, NewOrder};
use crate::app::SharedApp;
use crate::auth::Instruction;
use crate::body::BoundedBody;
use crate::caller::Caller;
use crate::error::{ApiError, Code};
use crate::openapi::answers::BatchAnswer;
use crate::openapi::order_bodies::Batch;
use crate::order_json::OrderJson;
use crate::parameters::Parameters;
use crate::replies::Decision;
use crate::submission::Submissions;

pub const ORDERS_MAX: usize = 20;

pub fn routes() -> OpenApiRouter<SharedApp> {
    OpenApiRouter::new().routes(routes!(place))
}

type Admitted = Result<NewOrder, ApiError>;

/// What becomes of one element: its order if it was admitted, and the decision on it.
type Element = Result<(NewOrder, Decision), ApiError>;

/// Places 1 to 20 orders, each standing alone.
///
/// They are executed in the order given; nothing is undone when one is refused.
#[utoipa::path(
    post, path = "/api/v1/orders", operation_id = "placeOrders", tag = "Orders",
    extensions(("x-instruction" = json!(Instruction::OrderExecute.name()))),
    request_body = Batch,
    responses((status = 200, description = "Success", body = BatchAnswer)),
)]
async fn place(
    State(app): State<SharedApp>,
    caller: Caller,
    BoundedBody(body): BoundedBody,
) -> Result<Response, ApiError> {
    let rows = Parameters::rows_from_body(&body, ORDERS_MAX)?;
    let account = app.signed(&caller, Instruction::OrderExecute, &rows).await?;
    // While nothing can be sent, nothing was: the whole request may be repeated.
    app.link.connection()?;
    let admitted = rows.iter().map(|row| admit(row, &app, account)).collect();
    let submissions = app.submissions.clone();
    let elements = app.detached(async move { Ok(execute(&submissions, admitted).await) }).await?;
    let answers = elements.iter().map(|element| answer(&app, element));
    json(&answers.collect::<Vec<_>>())
}

fn admit(row: &Parameters<'_>, app: &SharedApp, account: AccountId) -> Admitted {
    admission::new_order(row, &app.catalog, account)
}

async fn execute(submissions: &Submissions, admitted: Vec<Admitted>) -> Vec<Element> {
    let mut elements: Vec<Element> = Vec::with_capacity(admitted.len());
    let mut rest = admitted.as_slice();
    while let Some((run, after)) = split_run(rest) {
        rest = after;
        // After a reply that did not come, what follows would not be in order.
        let lost = elements.iter().any(is_lost);
        let orders: Vec<NewOrder> =
            run.iter().filter_map(|order| order.as_ref().ok()).copied().collect();
        let sent = match orders.first() {
            _ if lost => {
                Err(ApiError::maintenance("Not sent: an order before it got no reply in time"))
            }
            None => Ok(Vec::new()),
            Some(first) => {
                let actions: Vec<Action> = orders.iter().map(NewOrder::action).collect();
                submissions.submit_run(first.place.market, &actions).await
            }
        };
        let mut decisions = match sent {
            Ok(decisions) => decisions,
            Err(error) => vec![Err(error); orders.len()],
        }
        .into_iter();
        for order in run {
            elements.push(match order {
                Err(error) => Err(error.clone()),
                Ok(order) => {
                    let decision = decisions.next();
                    let decision = decision.unwrap_or_else(|| Err(ApiError::bug("no decision")));
                    decision.map(|decision| (*order, decision))
                }
            });
        }
    }
    elements
}

fn is_lost(element: &Element) -> bool {
    element.as_ref().is_err_and(|error| error.code == Code::Timeout)
}

/// The longest front whose admitted orders are of one market, and what follows it.
fn split_run(orders: &[Admitted]) -> Option<(&[Admitted], &[Admitted])> {
    if orders.is_empty() {
        return None;
    }
    let market = |order: &Admitted| order.as_ref().ok().map(|order| order.place.market);
    let first = orders.iter().find_map(market);
    let end = orders.iter().position(|order| market(order).is_some_and(|it| Some(it) != first));
    Some(orders.split_at(end.unwrap_or(orders.len())))
}

#[derive(Serialize)]
#[serde(untagged)]
enum Answer<'a> {
    Accepted(Box<OrderJson<'a>>),
    Refused { operation: &'static str, code: Code, message: String },
}

fn answer<'a>(app: &'a SharedApp, element: &Element) -> Answer<'a> {
    let accepted = match element {
        Ok((order, decision)) => orders::placed(app, order, decision),
        Err(error) => Err(error.clone()),
    };
    match accepted {
        Ok(mut order) => {
            order.operation = Some("Ok");
            Answer::Accepted(Box::new(order))
        }
        Err(error) => Answer::Refused {
            operation: "Err",
            code: error.code,
            message: error.message.into_owned(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::{Lots, MarketId, OrderKind, Place, SelfTradePrevention, Side, TimeInForce};

    fn order(market: u16) -> Admitted {
        let place = Place {
            market: MarketId(market),
            account: AccountId::new(1).unwrap(),
            side: Side::Bid,
            kind: OrderKind::MarketByLots { lots: Lots(1) },
            time_in_force: TimeInForce::GoodTillCancelled,
            self_trade_prevention: SelfTradePrevention::RejectTaker,
            client_id: None,
            valid_until_us: 0,
        };
        Ok(NewOrder { place, trigger: None })
    }

    #[test]
    fn neighbours_of_one_market_go_together() {
        let refused = || Err(ApiError::not_found());
        let orders =
            [refused(), order(1), order(1), refused(), order(1), order(2), refused(), order(1)];
        let mut lengths = Vec::new();
        let mut rest = orders.as_slice();
        while let Some((run, after)) = split_run(rest) {
            lengths.push(run.len());
            rest = after;
        }
        assert_eq!(lengths, [5, 2, 1]);
        assert!(split_run(&[]).is_none());
        assert_eq!(split_run(&[refused(), refused()]).unwrap().0.len(), 2);
    }
}
