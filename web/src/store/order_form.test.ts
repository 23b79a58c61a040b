import { describe, expect, test } from "vitest";
import { decodeMarket, type Market } from "../api/wire";
import { canBePostOnly, checkDraft, draftTotal, EMPTY_DRAFT, type OrderDraft } from "./order_form";

function market(changes: { state?: string; maxPrice?: string; maxQuantity?: string } = {}): Market {
  return decodeMarket({
    symbol: "SOL_USDC",
    baseSymbol: "SOL",
    quoteSymbol: "USDC",
    marketType: "SPOT",
    filters: {
      price: { minPrice: "0.1", maxPrice: changes.maxPrice ?? null, tickSize: "0.01" },
      quantity: {
        minQuantity: "0.01",
        maxQuantity: changes.maxQuantity ?? null,
        stepSize: "0.001",
      },
    },
    orderBookState: changes.state ?? "Open",
    visible: true,
  });
}

const LIMIT: OrderDraft = { ...EMPTY_DRAFT, price: "20.5", quantity: "1.25" };
const MARKET: OrderDraft = { ...EMPTY_DRAFT, orderType: "Market", quantity: "2" };

function problems(draft: Partial<OrderDraft>, on: Market = market()) {
  const check = checkDraft({ ...LIMIT, ...draft }, on);
  return check.ok ? [] : check.problems;
}

describe("an order that is sent", () => {
  test("carries canonical decimals and only the members it needs", () => {
    expect(checkDraft({ ...LIMIT, price: " 020.5", postOnly: true }, market())).toEqual({
      ok: true,
      order: {
        symbol: "SOL_USDC",
        side: "Bid",
        orderType: "Limit",
        price: "20.50",
        quantity: "1.250",
        timeInForce: "GTC",
        postOnly: true,
      },
    });
  });

  test("a market order has neither price nor terms, even if the draft still holds them", () => {
    const draft: OrderDraft = { ...MARKET, price: "nonsense", postOnly: true, timeInForce: "FOK" };
    expect(checkDraft(draft, market())).toEqual({
      ok: true,
      order: { symbol: "SOL_USDC", side: "Bid", orderType: "Market", quantity: "2.000" },
    });
  });

  test("a market order by quote names the quote amount alone", () => {
    const draft: OrderDraft = { ...MARKET, side: "Ask", measure: "quote", quoteQuantity: "30.10" };
    expect(checkDraft(draft, market())).toEqual({
      ok: true,
      order: { symbol: "SOL_USDC", side: "Ask", orderType: "Market", quoteQuantity: "30.1" },
    });
  });

  test("post-only is never sent with an order that cannot rest", () => {
    const draft: OrderDraft = { ...LIMIT, timeInForce: "IOC", postOnly: true };
    expect(canBePostOnly(draft)).toBe(false);
    const check = checkDraft(draft, market());
    expect(check.ok && "postOnly" in check.order).toBe(false);
  });
});

describe("a price is refused", () => {
  test.each([
    ["", "Enter a price."],
    ["abc", "The price is no plain decimal number."],
    ["1e2", "The price is no plain decimal number."],
    ["0", "The price must be above zero."],
    ["-1", "The price must be above zero."],
    ["20.505", "The price goes in ticks of 0.01."],
    ["0.09", "The least price is 0.1."],
    ["1000.01", "The greatest price is 1000."],
  ])("%j: %s", (price, message) => {
    expect(problems({ price }, market({ maxPrice: "1000" }))).toEqual([
      { field: "price", code: "INVALID_PRICE", message },
    ]);
  });
});

describe("a quantity is refused", () => {
  test.each([
    ["", "Enter a quantity."],
    ["0.0005", "The quantity goes in steps of 0.001."],
    ["0.009", "The least quantity is 0.01."],
    ["50.001", "The greatest quantity is 50."],
  ])("%j: %s", (quantity, message) => {
    expect(problems({ quantity }, market({ maxQuantity: "50" }))).toEqual([
      { field: "quantity", code: "INVALID_QUANTITY", message },
    ]);
  });

  test("and the bounds themselves are not", () => {
    expect(problems({ quantity: "0.01" })).toEqual([]);
    expect(problems({ quantity: "50" }, market({ maxQuantity: "50" }))).toEqual([]);
  });

  test("a quote amount has its own field", () => {
    const quote = { orderType: "Market", measure: "quote" } as const;
    expect(problems({ ...quote, quoteQuantity: "0" })[0]?.field).toBe("quoteQuantity");
    expect(problems({ ...quote, quoteQuantity: "x" })[0]?.code).toBe("INVALID_QUANTITY");
  });
});

describe("the market's state", () => {
  test.each([
    ["Closed", LIMIT, false],
    ["CancelOnly", LIMIT, false],
    ["LimitOnly", LIMIT, true],
    ["LimitOnly", MARKET, false],
    ["PostOnly", LIMIT, false],
    ["PostOnly", { ...LIMIT, postOnly: true }, true],
  ] as const)("%s, case %#", (state, draft, taken) => {
    const check = checkDraft(draft, market({ state }));
    expect(check.ok).toBe(taken);
    if (!check.ok)
      expect(check.problems[0]).toMatchObject({ field: "form", code: "TRADING_PAUSED" });
  });
});

test("the total is exact and waits for both numbers", () => {
  expect(draftTotal({ ...LIMIT, price: "20.51", quantity: "1.001" }, market())).toBe("20.53051");
  expect(draftTotal({ ...LIMIT, price: "" }, market())).toBeNull();
  expect(draftTotal(MARKET, market())).toBeNull();
});
