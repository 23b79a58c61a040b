// What happened to waiting orders while nobody pressed anything: one fired, or fired and was
// refused. Pure.
import type { OrderUpdate } from "../api/account_wire";
import type { Order } from "../api/wire";

export interface Notice {
  readonly kind: "fired" | "failed";
  readonly order: Order;
  /** Why it was refused, `UPPER_SNAKE`, if that was said. */
  readonly reason: string | null;
}

export type Notices = readonly Notice[];

const NOTICES_MAX = 5;

/** Of an event of the stream. An order with a trigger is accepted when it fires. */
export function noticeOf(update: OrderUpdate): Notice | null {
  const { event, order, reason } = update;
  if (event === "triggerFailed") return { kind: "failed", order, reason };
  if (event === "orderAccepted" && order.triggerPrice !== null) {
    return { kind: "fired", order, reason: null };
  }
  return null;
}

/** Of a poll: those that waited when we last looked, and have fired and rest since. */
export function firedMeanwhile(before: readonly Order[], polled: readonly Order[]): Notices {
  const waited = new Set(before.filter(isWaiting).map((order) => order.id));
  return polled
    .filter((order) => waited.has(order.id) && !isWaiting(order))
    .map((order) => ({ kind: "fired", order, reason: null }));
}

function isWaiting(order: Order): boolean {
  return order.status === "TriggerPending";
}

/** Newest first; each order once, with the last that was told of it. */
export function addNotices(notices: Notices, more: Notices): Notices {
  const told = new Set(more.map((notice) => notice.order.id));
  const others = notices.filter((notice) => !told.has(notice.order.id));
  return [...more, ...others].slice(0, NOTICES_MAX);
}

export function withoutNotice(notices: Notices, orderId: string): Notices {
  return notices.filter((notice) => notice.order.id !== orderId);
}
