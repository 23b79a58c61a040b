// The account's open orders, kept from answers to our own actions, from the stream and from polls.
// The three overtake each other: what has ended stays ended, what was executed never shrinks, and a
// poll that was asked before something changed may not undo it.
import type { Order } from "../api/wire";
import { compareDecimals, parseDecimal } from "../format/decimal";

export interface OpenOrders {
  /** Newest first. */
  readonly orders: readonly Order[];
  /** Grows with every change that an action or the stream told. */
  readonly changes: number;
  /** Which change told of an order last, of those told since the latest poll was asked. */
  readonly changed: ReadonlyMap<string, number>;
  /** Orders that were told to have ended, oldest first. */
  readonly ended: ReadonlySet<string>;
}

export const NO_OPEN_ORDERS: OpenOrders = {
  orders: [],
  changes: 0,
  changed: new Map(),
  ended: new Set(),
};

/** Of orders that ended: later ones have nothing left that could be told late. */
const ENDED_MAX = 500;
const OPEN = new Set(["New", "PartiallyFilled", "TriggerPending"]);

export function isOpen(order: Order): boolean {
  return OPEN.has(order.status);
}

function newestFirst(orders: readonly Order[]): readonly Order[] {
  return [...orders].sort((left, right) => right.createdAtMs - left.createdAtMs);
}

function withEnded(ended: ReadonlySet<string>, ids: readonly string[]): ReadonlySet<string> {
  if (ids.length === 0) return ended;
  return new Set([...ended, ...ids].slice(-ENDED_MAX));
}

function executes(order: Order) {
  return parseDecimal(order.executedQuantity) ?? { digits: 0n, scale: 0 };
}

/** Whether `told` is older than what is known: it executed less, or waits for what has come. */
function isBehind(told: Order, known: Order): boolean {
  if (told.status === "TriggerPending" && known.status !== "TriggerPending") return true;
  return compareDecimals(executes(told), executes(known)) < 0;
}

/** Orders as an action or the stream left them: listed while open, gone when done. */
export function withOutcomes(state: OpenOrders, outcomes: readonly Order[]): OpenOrders {
  const changes = state.changes + 1;
  const listed = new Map(state.orders.map((order) => [order.id, order]));
  const changed = new Map(state.changed);
  for (const told of outcomes) {
    changed.set(told.id, changes);
    const known = listed.get(told.id);
    if (!isOpen(told)) listed.delete(told.id);
    else if (!state.ended.has(told.id)) listed.set(told.id, joined(told, known));
  }
  const ended = outcomes.filter((order) => !isOpen(order)).map((order) => order.id);
  return {
    ...state,
    orders: newestFirst([...listed.values()]),
    changes,
    changed,
    ended: withEnded(state.ended, ended),
  };
}

/** The stream tells an event's time, which is not that of the order. */
function joined(told: Order, known: Order | undefined): Order {
  if (known === undefined) return told;
  if (isBehind(told, known)) return known;
  return { ...told, createdAtMs: Math.min(told.createdAtMs, known.createdAtMs) };
}

/** An order the exchange says is not open any more. */
export function withoutOrder(state: OpenOrders, orderId: string): OpenOrders {
  return {
    ...state,
    orders: state.orders.filter((order) => order.id !== orderId),
    changes: state.changes + 1,
    ended: withEnded(state.ended, [orderId]),
  };
}

/**
 * A poll's answer; of orders that changed since it was asked, when `changes` were `askedAt`, ours
 * holds. Polls are taken in the order in which they were asked.
 */
export function withPoll(state: OpenOrders, polled: readonly Order[], askedAt: number): OpenOrders {
  const isNewer = (id: string) => (state.changed.get(id) ?? 0) > askedAt;
  const kept = state.orders.filter((order) => isNewer(order.id));
  const taken = polled.filter((order) => !isNewer(order.id) && !state.ended.has(order.id));
  return {
    ...state,
    orders: newestFirst([...kept, ...taken]),
    changed: new Map([...state.changed].filter(([, change]) => change > askedAt)),
  };
}
