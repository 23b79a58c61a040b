import { describe, expect, test } from "vitest";
import { decodeBalanceUpdate, decodeFills, decodeOrderUpdate } from "./account_wire";
import { Failure } from "./failure";

const ACCEPTED = {
  e: "orderAccepted",
  E: 1735689600123999,
  T: 1735689600123456,
  s: "SOL_USDC",
  i: "4200000001",
  c: 7,
  S: "Bid",
  o: "LIMIT",
  f: "GTC",
  q: "1.250",
  p: "20.50",
  X: "New",
  z: "0.000",
  Z: "0",
  t: null,
  V: "RejectTaker",
  O: "USER",
  y: true,
  r: false,
};

test("an order update is the order as REST tells it, with the event", () => {
  expect(decodeOrderUpdate(ACCEPTED)).toEqual({
    event: "orderAccepted",
    reason: null,
    fill: null,
    order: {
      id: "4200000001",
      clientId: 7,
      symbol: "SOL_USDC",
      side: "Bid",
      orderType: "Limit",
      timeInForce: "GTC",
      status: "New",
      createdAtMs: 1735689600123,
      price: "20.50",
      quantity: "1.250",
      quoteQuantity: null,
      executedQuantity: "0.000",
      executedQuoteQuantity: "0",
      postOnly: true,
      triggerPrice: null,
      fills: [],
    },
  });
});

test("a fill names its trade, its fee and who was the maker", () => {
  const fill = { e: "orderFill", X: "Filled", z: "1.250", Z: "25.625", t: 9, m: false };
  const paid = { l: "1.250", L: "20.50", n: "0.00125", N: "SOL" };
  expect(decodeOrderUpdate({ ...ACCEPTED, ...fill, ...paid }).fill).toEqual({
    tradeId: 9,
    orderId: "4200000001",
    symbol: "SOL_USDC",
    side: "Bid",
    price: "20.50",
    quantity: "1.250",
    fee: "0.00125",
    feeSymbol: "SOL",
    isMaker: false,
    timeMs: 1735689600123,
  });
});

test("a market order by quote has no price, one that waits has a trigger", () => {
  const { p: _price, y: _postOnly, ...market } = ACCEPTED;
  const update = decodeOrderUpdate({ ...market, c: null, o: "MARKET", q: "0.000", Q: "30" });
  expect(update.order).toMatchObject({
    orderType: "Market",
    clientId: null,
    price: null,
    quoteQuantity: "30",
    postOnly: false,
  });
  const waiting = { e: "triggerPlaced", X: "TriggerPending", P: "21.00", Y: "1.250" };
  expect(decodeOrderUpdate({ ...ACCEPTED, ...waiting }).order.triggerPrice).toBe("21.00");
});

test("the reason of an end is passed on", () => {
  const end = { e: "orderExpired", X: "Expired", R: "FILL_OR_KILL" };
  expect(decodeOrderUpdate({ ...ACCEPTED, ...end }).reason).toBe("FILL_OR_KILL");
});

test("a balance update is absolute", () => {
  const frame = { e: "balanceUpdate", E: 2, T: 1, a: "USDC", A: "979.5", L: "20.5", S: "0" };
  expect(decodeBalanceUpdate(frame)).toEqual({
    asset: "USDC",
    available: { digits: 9795n, scale: 1 },
    locked: { digits: 205n, scale: 1 },
  });
});

test("fills of the past have their time in UTC", () => {
  const row = {
    tradeId: 1,
    orderId: "2149580803",
    clientId: "7",
    symbol: "SOL_USDC",
    side: "Bid",
    price: "20.51",
    quantity: "0.77",
    fee: "0.00077",
    feeSymbol: "SOL",
    isMaker: false,
    timestamp: "2025-01-01T00:00:00.123",
    systemOrderType: null,
  };
  expect(decodeFills([row])[0]).toMatchObject({ tradeId: 1, timeMs: 1735689600123 });
  expect(() => decodeFills([{ ...row, timestamp: "1735689600" }])).toThrow(Failure);
});

describe("a frame that breaks the contract", () => {
  test.each([
    ["an event of another kind", () => decodeOrderUpdate({ ...ACCEPTED, e: "rfqActive" })],
    ["an order id that is a number", () => decodeOrderUpdate({ ...ACCEPTED, i: 4200000001 })],
    ["a type as REST spells it", () => decodeOrderUpdate({ ...ACCEPTED, o: "Limit" })],
    ["a fill without its trade", () => decodeOrderUpdate({ ...ACCEPTED, e: "orderFill" })],
    ["a balance without what is locked", () => decodeBalanceUpdate({ a: "USDC", A: "1" })],
    ["no object", () => decodeBalanceUpdate(null)],
  ])("%s is garbled", (_what, run) => expect(run).toThrow(Failure));
});
