// Open orders, balances, fills and notices: what answers, polls and the stream tell of one account,
// twice, late or out of turn.
import { describe, expect, test } from "vitest";
import { decodeOrderUpdate, type OwnFill } from "../api/account_wire";
import { decodeOrder, type Balance } from "../api/wire";
import { decimalText, parseDecimal } from "../format/decimal";
import { NO_BALANCES, withBalance, withPolledBalances } from "./balances";
import { addNotices, firedMeanwhile, noticeOf, withoutNotice } from "./notices";
import { NO_OPEN_ORDERS, withOutcomes, withoutOrder, withPoll } from "./open_orders";
import { addFills, OWN_FILLS_MAX } from "./own_fills";

function order(id: string, status = "New", changes: Record<string, unknown> = {}) {
  return decodeOrder({
    orderType: "Limit",
    id,
    clientId: 7,
    symbol: "SOL_USDC",
    side: "Bid",
    timeInForce: "GTC",
    status,
    createdAt: Number(id),
    executedQuantity: "0.000",
    executedQuoteQuantity: "0",
    quantity: "1.000",
    price: "20.50",
    postOnly: false,
    ...changes,
  });
}

describe("open orders", () => {
  const listed = (state: typeof NO_OPEN_ORDERS) => state.orders.map((each) => each.id);
  const executed = (state: typeof NO_OPEN_ORDERS) =>
    state.orders.map((each) => each.executedQuantity);
  const part = (quantity: string) =>
    order("1", "PartiallyFilled", { executedQuantity: quantity, createdAt: 900 });

  test("an outcome lists an order while it is open and removes it when done", () => {
    let state = withOutcomes(NO_OPEN_ORDERS, [order("1"), order("2", "PartiallyFilled")]);
    expect(listed(state)).toEqual(["2", "1"]);
    state = withOutcomes(state, [order("2", "Cancelled")]);
    expect(listed(state)).toEqual(["1"]);
    expect(listed(withOutcomes(state, [order("3", "Filled"), order("4", "Expired")]))).toEqual([
      "1",
    ]);
  });

  test("the stream moves an order on and keeps the time it was placed", () => {
    let state = withOutcomes(NO_OPEN_ORDERS, [order("1"), order("2")]);
    state = withOutcomes(state, [part("0.400")]);
    expect([listed(state), executed(state)]).toEqual([
      ["2", "1"],
      ["0.000", "0.400"],
    ]);
    state = withOutcomes(state, [order("1", "PartiallyFilled", { price: "20.40", quantity: "2" })]);
    expect(executed(state), "told late").toEqual(["0.000", "0.400"]);
  });

  test("an amendment changes price and quantity under the same id", () => {
    const state = withOutcomes(NO_OPEN_ORDERS, [order("1"), order("2")]);
    const amended = order("1", "New", { price: "20.40", quantity: "0.700", createdAt: 900 });
    expect(withOutcomes(state, [amended]).orders[1]).toMatchObject({
      id: "1",
      price: "20.40",
      quantity: "0.700",
      createdAtMs: 1,
    });
  });

  test("an answer that the stream has overtaken brings nothing back", () => {
    const filled = withOutcomes(NO_OPEN_ORDERS, [order("1", "Filled")]);
    expect(listed(withOutcomes(filled, [order("1")]))).toEqual([]);
    const ahead = withOutcomes(NO_OPEN_ORDERS, [part("0.400")]);
    expect(executed(withOutcomes(ahead, [order("1")]))).toEqual(["0.400"]);
    const fired = withOutcomes(NO_OPEN_ORDERS, [order("1")]);
    const waiting = withOutcomes(fired, [order("1", "TriggerPending")]);
    expect(waiting.orders[0]?.status).toBe("New");
  });

  test("a poll replaces the list", () => {
    const state = withOutcomes(NO_OPEN_ORDERS, [order("1")]);
    expect(listed(withPoll(state, [order("5"), order("6")], state.changes))).toEqual(["6", "5"]);
  });

  test("a poll undoes nothing that changed since it was asked, and brings the rest", () => {
    const before = withOutcomes(NO_OPEN_ORDERS, [order("1"), order("2"), order("3")]);
    let state = withOutcomes(before, [order("1", "Cancelled")]);
    state = withOutcomes(state, [order("4")]);
    state = withPoll(state, [order("1"), order("2"), order("5")], before.changes);
    expect(listed(state)).toEqual(["5", "4", "2"]);
    expect(listed(withPoll(state, [order("2")], state.changes))).toEqual(["2"]);
  });

  test("an order the exchange does not know any more goes and stays away", () => {
    const state = withoutOrder(withOutcomes(NO_OPEN_ORDERS, [order("1")]), "1");
    expect(listed(state)).toEqual([]);
    expect(listed(withPoll(state, [order("1")], state.changes))).toEqual([]);
  });

  test("what is remembered of changes and ends is bounded", () => {
    let state = NO_OPEN_ORDERS;
    for (let id = 1; id <= 1200; id += 1) {
      state = withOutcomes(state, [order(String(id), "Filled")]);
    }
    expect(state.ended.size).toBe(500);
    expect(withPoll(state, [], state.changes).changed.size).toBe(0);
  });
});

describe("balances", () => {
  const balance = (asset: string, available: string, locked = "0"): Balance => ({
    asset,
    available: parseDecimal(available) ?? { digits: 0n, scale: 0 },
    locked: parseDecimal(locked) ?? { digits: 0n, scale: 0 },
  });
  const shown = ({ list }: typeof NO_BALANCES) =>
    list?.map((each) => `${each.asset} ${decimalText(each.available)}`);

  test("the stream says what one asset is now, a new one too", () => {
    let state = withPolledBalances(NO_BALANCES, [balance("USDC", "5"), balance("BTC", "1")], 0);
    state = withBalance(state, balance("USDC", "4.5", "0.5"));
    state = withBalance(state, balance("SOL", "2"));
    expect(shown(state)).toEqual(["BTC 1", "SOL 2", "USDC 4.5"]);
  });

  test("a poll asked before that undoes none of it", () => {
    const before = withPolledBalances(NO_BALANCES, [balance("USDC", "5"), balance("BTC", "1")], 0);
    const told = withBalance(before, balance("USDC", "4.5"));
    const polled = [balance("USDC", "5"), balance("BTC", "3")];
    const state = withPolledBalances(told, polled, before.changes);
    expect(shown(state)).toEqual(["BTC 3", "USDC 4.5"]);
    const later = withPolledBalances(state, [balance("USDC", "6")], state.changes);
    expect(shown(later)).toEqual(["USDC 6"]);
  });
});

describe("own fills", () => {
  const fill = (tradeId: number, changes: Partial<OwnFill> = {}): OwnFill => ({
    tradeId,
    orderId: "1",
    symbol: "SOL_USDC",
    side: "Bid",
    price: "20.50",
    quantity: "1",
    fee: "0",
    feeSymbol: "SOL",
    isMaker: false,
    timeMs: tradeId * 1000,
    ...changes,
  });
  const ids = (fills: readonly OwnFill[]) => fills.map((each) => each.tradeId);

  test("join what the stream told with the past, each once, newest first", () => {
    const streamed = addFills(addFills([], [fill(7)]), [fill(8)]);
    expect(ids(addFills(streamed, [fill(8), fill(6), fill(7)]))).toEqual([8, 7, 6]);
  });

  test("are told apart by market, and by order where one traded with itself", () => {
    const fills = [fill(1), fill(1, { symbol: "BTC_USDC" }), fill(1, { orderId: "2" })];
    expect(addFills([], fills)).toHaveLength(3);
  });

  test("forget the oldest", () => {
    const many = Array.from({ length: OWN_FILLS_MAX + 5 }, (_, index) => fill(index + 1));
    expect(addFills([], many).at(-1)?.tradeId).toBe(6);
  });
});

describe("notices of waiting orders", () => {
  const update = (e: string, changes: Record<string, unknown> = {}) =>
    decodeOrderUpdate({
      e,
      E: 2,
      T: 1,
      s: "SOL_USDC",
      i: "9",
      S: "Ask",
      o: "MARKET",
      f: "GTC",
      q: "1.000",
      X: "New",
      z: "0.000",
      Z: "0",
      P: "19.00",
      ...changes,
    });

  test("one that fired and one that failed are told, others are not", () => {
    expect(noticeOf(update("orderAccepted"))).toMatchObject({ kind: "fired" });
    expect(noticeOf(update("triggerFailed", { R: "INSUFFICIENT_FUNDS" }))).toMatchObject({
      kind: "failed",
      reason: "INSUFFICIENT_FUNDS",
    });
    expect(noticeOf(update("triggerPlaced"))).toBeNull();
    expect(noticeOf(update("orderCancelled"))).toBeNull();
    expect(noticeOf(update("orderAccepted", { P: undefined }))).toBeNull();
  });

  test("one that fired while nobody listened is told by the next poll", () => {
    const before = [order("1", "TriggerPending"), order("2", "TriggerPending"), order("3")];
    const polled = [order("1"), order("2", "TriggerPending"), order("3")];
    expect(firedMeanwhile(before, polled).map((notice) => notice.order.id)).toEqual(["1"]);
  });

  test("each order is told of once, until it is put away, and not more than a few", () => {
    const fired = noticeOf(update("orderAccepted"));
    const failed = noticeOf(update("triggerFailed"));
    if (fired === null || failed === null) throw new Error("both are notices");
    const notices = addNotices(addNotices([], [fired]), [failed]);
    expect(notices).toEqual([failed]);
    expect(withoutNotice(notices, "9")).toEqual([]);
    const many = Array.from({ length: 9 }, (_, id) => ({ ...fired, order: order(String(id)) }));
    expect(addNotices(notices, many)).toHaveLength(5);
  });
});
