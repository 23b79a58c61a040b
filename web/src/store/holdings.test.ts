import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { decodeOrderUpdate } from "../api/account_wire";
import { decodeBalances } from "../api/wire";
import { Holdings } from "./holdings";

const balances = (available: string) =>
  decodeBalances({ USDC: { available, locked: "0", staked: "0" } });

const update = (e: string, status: string, changes: Record<string, unknown> = {}) =>
  decodeOrderUpdate({
    e,
    E: 2,
    T: 1,
    s: "SOL_USDC",
    i: "9",
    S: "Bid",
    o: "LIMIT",
    f: "GTC",
    q: "1.000",
    p: "20.50",
    X: status,
    z: "0.000",
    Z: "0",
    t: null,
    ...changes,
  });

const FILL = { t: 4, l: "0.400", L: "20.50", m: true, n: "0.0004", N: "SOL", z: "0.400" };

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

test("what the stream tells is shown together, after a while", () => {
  const holdings = new Holdings(50);
  let shown = 0;
  holdings.openOrders.subscribe(() => (shown += 1));
  holdings.orderUpdate(update("orderAccepted", "New"));
  holdings.orderUpdate(update("orderFill", "PartiallyFilled", FILL));
  expect(holdings.openOrders.get()).toEqual([]);
  vi.advanceTimersByTime(50);
  expect(shown).toBe(1);
  expect(holdings.openOrders.get()).toMatchObject([{ id: "9", executedQuantity: "0.400" }]);
  expect(holdings.fills.get()).toMatchObject([{ tradeId: 4, isMaker: true }]);
});

test("what an action did is shown at once, with all that was told before", () => {
  const holdings = new Holdings(50);
  holdings.orderUpdate(update("orderAccepted", "New"));
  const { order } = update("orderAccepted", "New", { i: "10" });
  holdings.outcomes([order]);
  expect(holdings.openOrders.get().map((each) => each.id)).toEqual(["9", "10"]);
  holdings.gone("9");
  expect(holdings.openOrders.get().map((each) => each.id)).toEqual(["10"]);
});

test("of two polls the one asked later holds, whichever is answered last", () => {
  const holdings = new Holdings(50);
  const [first, second] = [holdings.askedAt(), holdings.askedAt()];
  holdings.polled(balances("2"), [], second);
  holdings.polled(balances("1"), [], first);
  expect(holdings.balances.get()).toMatchObject([{ available: { digits: 2n } }]);
});

test("an answer that comes after all was forgotten is another account's", () => {
  const holdings = new Holdings(50);
  const askedAt = holdings.askedAt();
  holdings.forget();
  holdings.polled(balances("1"), [], askedAt);
  expect(holdings.balances.get()).toBeNull();
  holdings.polled(balances("3"), [], holdings.askedAt());
  expect(holdings.balances.get()).toMatchObject([{ available: { digits: 3n } }]);
});

test("a poll tells that a waiting order has fired", () => {
  const holdings = new Holdings(50);
  const pending = update("triggerPlaced", "TriggerPending", { P: "21.00" }).order;
  holdings.polled([], [pending], holdings.askedAt());
  holdings.polled([], [{ ...pending, status: "New" }], holdings.askedAt());
  expect(holdings.notices.get()).toMatchObject([{ kind: "fired", order: { id: "9" } }]);
  holdings.putAway("9");
  expect(holdings.notices.get()).toEqual([]);
});
