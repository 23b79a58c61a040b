// The account's open orders in all markets, each with its cancel button.
import { useState } from "react";
import { grouped, timeOfDay } from "../format/readable";
import type { Account } from "../store/account";
import { Failure, type Order } from "../store/vocabulary";
import { FailureNote } from "./FailureNote";

const ALL = "all";

interface Props {
  readonly account: Account;
  readonly orders: readonly Order[];
}

export function OpenOrdersTable({ account, orders }: Props) {
  /** Ids being cancelled, or `ALL`. */
  const [busy, setBusy] = useState<ReadonlySet<string>>(new Set());
  const [failure, setFailure] = useState<Failure | null>(null);

  async function run(id: string, action: () => Promise<void>): Promise<void> {
    setBusy((present) => new Set([...present, id]));
    setFailure(null);
    try {
      await action();
    } catch (error) {
      setFailure(Failure.from(error));
    } finally {
      setBusy((present) => new Set([...present].filter((other) => other !== id)));
    }
  }

  if (orders.length === 0) {
    return (
      <>
        {failure !== null && <FailureNote code={failure.code} message={failure.message} />}
        <p className="quiet none">No open orders.</p>
      </>
    );
  }
  return (
    <>
      {failure !== null && <FailureNote code={failure.code} message={failure.message} />}
      <div className="scroll">
        <table>
          <thead>
            <tr>
              <th scope="col">Time</th>
              <th scope="col">Market</th>
              <th scope="col">Side</th>
              <th scope="col">Terms</th>
              <th scope="col">Price</th>
              <th scope="col">Quantity</th>
              <th scope="col">Executed</th>
              <th scope="col">Status</th>
              <th scope="col">
                <button
                  type="button"
                  className="small"
                  disabled={busy.has(ALL)}
                  onClick={() => void run(ALL, () => account.cancelAll())}
                >
                  Cancel all
                </button>
              </th>
            </tr>
          </thead>
          <tbody>
            {orders.map((order) => (
              <OrderRow
                key={order.id}
                order={order}
                busy={busy.has(order.id) || busy.has(ALL)}
                onCancel={() => void run(order.id, () => account.cancel(order))}
              />
            ))}
          </tbody>
        </table>
      </div>
    </>
  );
}

/** The trigger of an order that has not fired yet. */
function waitsFor({ status, triggerPrice }: Order): string {
  const isWaiting = status === "TriggerPending" && triggerPrice !== null;
  return isWaiting ? ` · waits for ${grouped(triggerPrice)}` : "";
}

interface RowProps {
  readonly order: Order;
  readonly busy: boolean;
  readonly onCancel: () => void;
}

function OrderRow({ order, busy, onCancel }: RowProps) {
  const buying = order.side === "Bid";
  return (
    <tr data-order={order.id} data-status={order.status}>
      <td className="quiet">{timeOfDay(order.createdAtMs)}</td>
      <td>{order.symbol.replace("_", "/")}</td>
      <td className={buying ? "up" : "down"}>{buying ? "Buy" : "Sell"}</td>
      <td>
        {order.orderType} {order.timeInForce}
        {order.postOnly ? " post" : ""}
        {waitsFor(order)}
      </td>
      <td>{order.price === null ? "—" : grouped(order.price)}</td>
      <td>{order.quantity === null ? "—" : grouped(order.quantity)}</td>
      <td>{grouped(order.executedQuantity)}</td>
      <td>{order.status}</td>
      <td>
        <button
          type="button"
          className="small"
          disabled={busy}
          aria-label={`Cancel order ${order.id}`}
          onClick={onCancel}
        >
          Cancel
        </button>
      </td>
    </tr>
  );
}
