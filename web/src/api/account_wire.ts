// What is told to one account alone: frames of its private streams, and its fills by REST.
import {
  decimal,
  decimalString,
  flag,
  integer,
  integerOrDigits,
  list,
  members,
  oneOf,
  optionalText,
  text,
  wrong,
  type Members,
} from "./decode";
import type { Balance, Order, Side } from "./wire";

export const ORDER_UPDATES = "account.orderUpdate";
export const BALANCE_UPDATES = "account.balanceUpdate";
/** Nothing is heard of it: while it lasts, the end of the connection cancels what is open. */
export const CANCEL_ON_DISCONNECT = "account.cancelOnDisconnect";

const ORDER_EVENTS = [
  "orderAccepted",
  "orderFill",
  "orderCancelled",
  "orderExpired",
  "triggerPlaced",
  "triggerFailed",
  "orderModified",
] as const;
export type OrderEvent = (typeof ORDER_EVENTS)[number];

/** The account's side of one trade. */
export interface OwnFill {
  /** Of its market; both sides have it where an account traded with itself. */
  readonly tradeId: number;
  readonly orderId: string;
  readonly symbol: string;
  readonly side: Side;
  readonly price: string;
  readonly quantity: string;
  readonly fee: string;
  readonly feeSymbol: string;
  readonly isMaker: boolean;
  readonly timeMs: number;
}

export interface OrderUpdate {
  readonly event: OrderEvent;
  /** As it stands after the event; `createdAtMs` is the event's, for the stream says no other. */
  readonly order: Order;
  readonly fill: OwnFill | null;
  /** Why it expired or could not fire, `UPPER_SNAKE`. */
  readonly reason: string | null;
}

const SIDES = ["Bid", "Ask"] as const;

export function decodeOrderUpdate(value: unknown): OrderUpdate {
  const frame = members(value, "order update");
  const event = oneOf(frame, "e", ORDER_EVENTS);
  const clientId = frame["c"] ?? null;
  const timeMs = Math.floor(integer(frame, "T") / 1000);
  const order: Order = {
    id: text(frame, "i"),
    clientId: clientId === null ? null : integerOrDigits(frame, "c"),
    symbol: text(frame, "s"),
    side: oneOf(frame, "S", SIDES),
    orderType: oneOf(frame, "o", ["LIMIT", "MARKET"]) === "LIMIT" ? "Limit" : "Market",
    timeInForce: text(frame, "f"),
    status: text(frame, "X"),
    createdAtMs: timeMs,
    price: optionalText(frame, "p"),
    quantity: decimalString(frame, "q"),
    quoteQuantity: optionalText(frame, "Q"),
    executedQuantity: decimalString(frame, "z"),
    executedQuoteQuantity: decimalString(frame, "Z"),
    postOnly: frame["y"] === true,
    triggerPrice: optionalText(frame, "P"),
    fills: [],
  };
  const fill = event === "orderFill" ? fillOf(frame, order) : null;
  return { event, order, fill, reason: optionalText(frame, "R") };
}

function fillOf(frame: Members, order: Order): OwnFill {
  return {
    tradeId: integer(frame, "t"),
    orderId: order.id,
    symbol: order.symbol,
    side: order.side,
    price: decimalString(frame, "L"),
    quantity: decimalString(frame, "l"),
    fee: decimalString(frame, "n"),
    feeSymbol: text(frame, "N"),
    isMaker: flag(frame, "m"),
    timeMs: order.createdAtMs,
  };
}

export function decodeBalanceUpdate(value: unknown): Balance {
  const frame = members(value, "balance update");
  oneOf(frame, "e", ["balanceUpdate"]);
  return {
    asset: text(frame, "a"),
    available: decimal(frame, "A"),
    locked: decimal(frame, "L"),
  };
}

/** `2025-01-01T00:00:00.123`: UTC, no zone. */
function utcMs(from: Members, key: string): number {
  const value = text(from, key);
  const ms = Date.parse(`${value}Z`);
  if (!/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?$/.test(value) || Number.isNaN(ms)) {
    throw wrong(key, "time in UTC");
  }
  return ms;
}

function decodeFill(value: unknown): OwnFill {
  const fill = members(value, "fill");
  return {
    tradeId: integerOrDigits(fill, "tradeId"),
    orderId: text(fill, "orderId"),
    symbol: text(fill, "symbol"),
    side: oneOf(fill, "side", SIDES),
    price: decimalString(fill, "price"),
    quantity: decimalString(fill, "quantity"),
    fee: decimalString(fill, "fee"),
    feeSymbol: text(fill, "feeSymbol"),
    isMaker: flag(fill, "isMaker"),
    timeMs: utcMs(fill, "timestamp"),
  };
}

export function decodeFills(value: unknown): readonly OwnFill[] {
  return list(value, "fills", decodeFill);
}
