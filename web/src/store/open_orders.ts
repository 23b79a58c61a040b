// The account's open orders, kept from answers to our own actions and from polls. A poll that was
// asked before an action was answered may not undo what that answer said.
import type { Order } from "../api/wire";

export interface OpenOrders {
  /** Newest first. */
  readonly orders: readonly Order[];
  /** Grows with every answered action. */
  readonly actions: number;
}

export const NO_OPEN_ORDERS: OpenOrders = { orders: [], actions: 0 };

const OPEN = new Set(["New", "PartiallyFilled", "TriggerPending"]);

export function isOpen(order: Order): boolean {
  return OPEN.has(order.status);
}

function newestFirst(orders: readonly Order[]): readonly Order[] {
  return [...orders].sort((left, right) => right.createdAtMs - left.createdAtMs);
}

/** An order as an action of ours left it: listed while open, gone when done. */
export function withOutcomes(state: OpenOrders, outcomes: readonly Order[]): OpenOrders {
  const touched = new Set(outcomes.map((order) => order.id));
  const others = state.orders.filter((order) => !touched.has(order.id));
  return {
    orders: newestFirst([...outcomes.filter(isOpen), ...others]),
    actions: state.actions + 1,
  };
}

/** An order the exchange says is not open any more. */
export function withoutOrder(state: OpenOrders, orderId: string): OpenOrders {
  return {
    orders: state.orders.filter((order) => order.id !== orderId),
    actions: state.actions + 1,
  };
}

/** A poll's answer; ignored when an action was answered since it was asked at `askedAt`. */
export function withPoll(state: OpenOrders, polled: readonly Order[], askedAt: number): OpenOrders {
  if (askedAt !== state.actions) return state;
  return { ...state, orders: newestFirst(polled) };
}
