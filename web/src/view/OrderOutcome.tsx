// What became of the order just sent: its state, what was executed, and each trade.
import { grouped } from "../format/readable";
import type { Failure, Market, Order } from "../store/vocabulary";
import { FailureNote } from "./FailureNote";

export type Outcome =
  | { readonly kind: "placed"; readonly order: Order }
  | { readonly kind: "failed"; readonly failure: Failure };

interface Props {
  readonly outcome: Outcome;
  readonly market: Market;
}

export function OrderOutcome({ outcome, market }: Props) {
  if (outcome.kind === "failed") {
    const { failure } = outcome;
    return (
      <div className="outcome" data-testid="order-failure">
        <FailureNote code={failure.code} message={failure.message} />
        {failure.outcomeUnknown && (
          <p className="quiet">
            The order may have been placed all the same. Look at the open orders and balances before
            sending it again.
          </p>
        )}
      </div>
    );
  }
  return <PlacedOrder order={outcome.order} market={market} />;
}

function PlacedOrder({ order, market }: { readonly order: Order; readonly market: Market }) {
  return (
    <div className="outcome" data-testid="order-result" role="status" aria-label="Order result">
      <dl>
        <dt>Order {order.id}</dt>
        <dd data-testid="order-status" className="status" data-status={order.status}>
          {order.status}
        </dd>
        <dt>Executed</dt>
        <dd>
          <span data-testid="executed-quantity">{order.executedQuantity}</span>
          {order.quantity === null ? "" : ` of ${order.quantity}`} {market.baseSymbol}
        </dd>
        <dt>For</dt>
        <dd>
          {grouped(order.executedQuoteQuantity)} {market.quoteSymbol}
        </dd>
      </dl>
      {order.fills.length > 0 && (
        <table data-testid="fills">
          <caption>{order.fills.length === 1 ? "1 trade" : `${order.fills.length} trades`}</caption>
          <thead>
            <tr>
              <th scope="col">Price</th>
              <th scope="col">Amount</th>
              <th scope="col">Fee</th>
            </tr>
          </thead>
          <tbody>
            {order.fills.map((fill) => (
              <tr key={fill.tradeId}>
                <td>{grouped(fill.price)}</td>
                <td>{grouped(fill.quantity)}</td>
                <td>
                  {fill.fee} <small>{fill.feeSymbol}</small>
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </div>
  );
}
