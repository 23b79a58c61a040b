// The newest fills of the account's own orders, newest first, each once. Pure.
import type { OwnFill } from "../api/account_wire";

export type OwnFills = readonly OwnFill[];

export const OWN_FILLS_MAX = 200;

/** Trade ids are a market's; an account that trades with itself has both sides of one. */
export function fillKey(fill: OwnFill): string {
  return `${fill.symbol} ${fill.tradeId} ${fill.orderId}`;
}

/** Fills of the stream and of the past, in any order and overlap. */
export function addFills(fills: OwnFills, more: readonly OwnFill[]): OwnFills {
  const byKey = new Map([...fills, ...more].map((fill) => [fillKey(fill), fill]));
  return [...byKey.values()]
    .sort((left, right) => right.timeMs - left.timeMs || right.tradeId - left.tradeId)
    .slice(0, OWN_FILLS_MAX);
}
