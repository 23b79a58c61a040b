import { describe, expect, test } from "vitest";
import { parseDecimal, type MarketUnits } from "../format/decimal";
import { Failure } from "./failure";
import {
  decodeBalances,
  decodeCandle,
  decodeCandleFrame,
  decodeDepthFrame,
  decodeDepthSnapshot,
  decodeMarkets,
  decodeOrder,
  decodeTickerFrame,
  decodeTradeFrame,
} from "./wire";

const decimal = (text: string) => parseDecimal(text) ?? { digits: 0n, scale: 0 };
const SOL: MarketUnits = { tickSize: decimal("0.01"), stepSize: decimal("0.001") };

function failureOf(run: () => unknown): Failure {
  try {
    run();
  } catch (error) {
    return Failure.from(error);
  }
  throw new Error("expected a failure");
}

test("a depth snapshot turns into ticks and lots; its id is text in REST", () => {
  const answer = { asks: [["20.51", "1.000"]], bids: [["20.5", "2"]], lastUpdateId: "77" };
  expect(decodeDepthSnapshot(answer, SOL)).toEqual({
    asks: [[2051n, 1000n]],
    bids: [[2050n, 2000n]],
    lastUpdateId: 77,
  });
});

test("a depth frame keeps zero amounts, they remove", () => {
  const frame = { e: "depth", a: [["20.51", "0.000"]], b: [], U: 78, u: 79, s: "SOL_USDC" };
  expect(decodeDepthFrame(frame, SOL)).toEqual({
    asks: [[2051n, 0n]],
    bids: [],
    firstUpdateId: 78,
    lastUpdateId: 79,
    checksum: null,
  });
  expect(decodeDepthFrame({ ...frame, k: 4294967295 }, SOL).checksum).toBe(4294967295);
});

test("a buyer who was the maker means the taker sold", () => {
  const frame = { p: "20.50", q: "1.5", t: 9, T: 1735689600123456, m: true };
  expect(decodeTradeFrame(frame, SOL)).toEqual({
    id: 9,
    price: 2050n,
    amount: 1500n,
    timeMs: 1735689600123,
    takerSide: "Ask",
  });
});

test("a market that never traded has a ticker of zeros", () => {
  const frame = { o: "0", c: "0", h: "0", l: "0", v: "0", V: "0", n: 0 };
  expect(decodeTickerFrame(frame, SOL)).toMatchObject({ last: 0n, trades: 0 });
});

test("candle times are UTC in both forms, and a row without trades is no candle", () => {
  const row = { open: "1", high: "1", low: "1", close: "1", volume: "2" };
  const frame = { o: "1", h: "1", l: "1", c: "1", v: "2" };
  expect(decodeCandle({ ...row, start: "2025-01-01 00:01:00" }, SOL)?.startS).toBe(1735689660);
  expect(decodeCandleFrame({ ...frame, t: "2025-01-01T00:01:00" }, SOL).startS).toBe(1735689660);
  expect(decodeCandle({ ...row, open: null, start: "2025-01-01 00:01:00" }, SOL)).toBeNull();
  expect(failureOf(() => decodeCandle({ ...row, start: "1735689660" }, SOL)).message).toContain(
    "UTC",
  );
});

test("markets of other kinds are left out, and a tick of zero is no market", () => {
  const market = (marketType: string, tickSize: string) => ({
    symbol: "SOL_USDC",
    baseSymbol: "SOL",
    quoteSymbol: "USDC",
    marketType,
    filters: {
      price: { minPrice: "0.01", maxPrice: null, tickSize },
      quantity: { minQuantity: "0.001", stepSize: "0.001" },
    },
    orderBookState: "Open",
    visible: true,
  });
  expect(decodeMarkets([market("PERP", "0.01"), market("SPOT", "0.01")])).toHaveLength(1);
  expect(failureOf(() => decodeMarkets([market("SPOT", "0")])).message).toContain("tickSize");
});

test("an order keeps its decimals as text and has trades only where the answer has them", () => {
  const answer = {
    orderType: "Market",
    id: "42",
    clientId: null,
    symbol: "SOL_USDC",
    side: "Ask",
    timeInForce: "GTC",
    status: "Filled",
    createdAt: 1735689600123,
    executedQuantity: "1.500",
    executedQuoteQuantity: "30.75",
    quantity: "1.500",
  };
  expect(decodeOrder(answer)).toMatchObject({ price: null, postOnly: false, fills: [] });
  const fills = [{ price: "20.5", quantity: "1.5", tradeId: 9, fee: "0.03", feeSymbol: "USDC" }];
  expect(decodeOrder({ ...answer, fills }).fills).toEqual([{ ...fills[0], tradeId: "9" }]);
});

describe("an answer that breaks the contract", () => {
  test.each([
    [
      "a level off the tick",
      () => decodeDepthFrame({ a: [["1.001", "1"]], b: [], U: 1, u: 1 }, SOL),
    ],
    ["a bare number as price", () => decodeDepthFrame({ a: [[1, "1"]], b: [], U: 1, u: 1 }, SOL)],
    ["an exponent", () => decodeDepthFrame({ a: [["1e2", "1"]], b: [], U: 1, u: 1 }, SOL)],
    ["a missing id", () => decodeDepthFrame({ a: [], b: [], U: 1 }, SOL)],
    ["an id beyond what is exact", () => decodeDepthFrame({ a: [], b: [], U: 1, u: 2 ** 60 }, SOL)],
    ["no object", () => decodeDepthSnapshot("nope", SOL)],
    ["a balance without locked", () => decodeBalances({ SOL: { available: "1" } })],
    ["an unknown side", () => decodeOrder({ id: "1", symbol: "S", side: "Buy" })],
  ])("%s is a garbled answer, not an undefined somewhere else", (_what, run) => {
    expect(failureOf(run)).toMatchObject({ kind: "garbled", code: "BAD_ANSWER" });
  });
});
