// @vitest-environment happy-dom
// The whole page against a played exchange: what a user sees and does, by label and role.
import { act, cleanup, screen, within } from "@testing-library/react";
import type { UserEvent } from "@testing-library/user-event";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import {
  API_KEY,
  closePages,
  ok,
  openPage as page,
  order,
  refuse,
  SECRET,
  signIn,
} from "./played_exchange";

/** Stands for the drawing library, which needs a canvas; remembers what it was told to draw. */
const drawn = vi.hoisted(() => ({ set: [] as unknown[][], updated: [] as unknown[] }));
vi.mock("lightweight-charts", () => {
  const series = () => ({
    setData: (points: unknown[]) => drawn.set.push(points),
    update: (point: unknown) => drawn.updated.push(point),
    priceScale: () => ({ applyOptions: () => undefined }),
  });
  return {
    CandlestickSeries: "candles",
    HistogramSeries: "volume",
    createChart: () => ({
      addSeries: series,
      timeScale: () => ({ scrollToRealTime: () => undefined }),
      remove: () => undefined,
    }),
  };
});

async function fillIn(user: UserEvent, price: string, quantity: string) {
  await user.type(screen.getByLabelText("Price"), price);
  await user.type(screen.getByLabelText("Quantity"), quantity);
}

beforeEach(() => void vi.spyOn(console, "error").mockImplementation(() => undefined));
afterEach(() => {
  closePages();
  cleanup();
});

describe("market data", () => {
  test("the book is live, follows the stream, and a price can be picked from it", async () => {
    const { user, socket } = await page();
    const bids = await screen.findByTestId("bids");
    await within(bids).findByRole("button", { name: "Use price 20.50" });
    expect(screen.getByTestId("spread").textContent).toBe("Spread 0.03");
    socket.push("depth.SOL_USDC", { a: [], b: [["20.52", "3"]], U: 11, u: 11 });
    await user.click(await within(bids).findByRole("button", { name: "Use price 20.52" }));
    expect(screen.getByLabelText<HTMLInputElement>("Price").value).toBe("20.52");
  });

  test("trades and the ticker come from the stream", async () => {
    const { socket } = await page();
    await screen.findByText("20.51");
    socket.push("trade.SOL_USDC", { t: 4, p: "20.60", q: "1", T: 1735689600123456, m: false });
    expect(within(screen.getByTestId("tape")).getByText("20.60").className).toBe("up");
    const ticker = { o: "20.00", c: "20.60", h: "21.00", l: "19.00", v: "5.5", V: "110", n: 4 };
    socket.push("ticker.SOL_USDC", ticker);
    expect(screen.getByTestId("last-price").textContent).toBe("20.60");
    expect(screen.getByTestId("ticker").textContent).toContain("+3.00 %");
  });

  test("the chart draws the history, then the running candle, in the chosen interval", async () => {
    const { user, socket } = await page();
    drawn.set.length = 0;
    const bar = expect.objectContaining({ open: 20, high: 20.6, low: 19.9, close: 20.5 });
    await vi.waitFor(() => expect(drawn.set.flat()).toContainEqual(bar));
    const frame = { t: "2025-01-01T00:00:00", o: "20", c: "20.7", h: "20.7", l: "19.9", v: "8" };
    socket.push("kline.1m.SOL_USDC", frame);
    expect(drawn.updated).toContainEqual(expect.objectContaining({ close: 20.7 }));
    await user.click(screen.getByRole("radio", { name: "1h" }));
    expect(socket.sent.join(" ")).toContain('"SUBSCRIBE","params":["kline.1h.SOL_USDC"]');
  });

  test("a lost connection is told and the book marked stale", async () => {
    const { sockets } = await page();
    await screen.findByText(/^Live · #10$/);
    act(() => sockets[0]?.onclose?.());
    expect(screen.getByTestId("connection").textContent).toBe("Disconnected");
    expect(screen.getByTestId("book").dataset["phase"]).toBe("stale");
    expect(screen.getByRole("button", { name: "Retry now" })).toBeTruthy();
  });

  test("another market brings its own streams", async () => {
    const { user, socket } = await page();
    await screen.findByText(/^Live · #10$/);
    await user.selectOptions(screen.getByRole("combobox", { name: "Market" }), "BTC_USDC");
    const sent = socket.sent.join(" ");
    expect(sent).toContain('"UNSUBSCRIBE","params":["depth.SOL_USDC"]');
    expect(sent).toContain('"SUBSCRIBE","params":["depth.BTC_USDC"]');
  });

  test("no markets, because the server is in maintenance, is said with its code", async () => {
    await page({ "GET /api/v1/markets": () => refuse(503, "MAINTENANCE", "engine unreachable") });
    expect((await screen.findByRole("alert")).textContent).toBe("Engine unreachable. MAINTENANCE");
  });
});

describe("signing in", () => {
  test("a secret of another key is refused before anything is sent", async () => {
    const { user, requests } = await page();
    await user.click(await screen.findByRole("radio", { name: "With a key" }));
    await user.type(await screen.findByLabelText("API key"), API_KEY);
    await user.type(screen.getByLabelText("Secret"), API_KEY);
    await user.click(screen.getByRole("button", { name: "Sign in" }));
    expect((await screen.findByRole("alert")).textContent).toContain("does not belong");
    expect(requests.filter((request) => request.includes("capital"))).toEqual([]);
  });

  test("a key the exchange does not know is told in its words", async () => {
    const { user } = await page({
      "GET /api/v1/capital": () => refuse(401, "UNAUTHORIZED", "unknown key"),
    });
    await user.click(await screen.findByRole("radio", { name: "With a key" }));
    await user.type(await screen.findByLabelText("API key"), API_KEY);
    await user.type(screen.getByLabelText("Secret"), SECRET);
    await user.click(screen.getByRole("button", { name: "Sign in" }));
    expect((await screen.findByRole("alert")).textContent).toBe("Unknown key. UNAUTHORIZED");
  });

  test("shows balances; signing out forgets them and the kept secret", async () => {
    window.sessionStorage.clear();
    const { user } = await page({}, window.sessionStorage);
    await user.click(await screen.findByRole("radio", { name: "With a key" }));
    await user.click(await screen.findByLabelText(/Keep in this tab/));
    await signIn(user);
    expect(screen.getByTestId("available-USDC").textContent).toBe("1,000.5");
    expect(window.sessionStorage).toHaveLength(1);
    await user.click(screen.getByRole("button", { name: "Sign out" }));
    expect(screen.queryByTestId("balances")).toBeNull();
    expect(window.sessionStorage).toHaveLength(0);
  });

  test("without the tick nothing is stored", async () => {
    window.sessionStorage.clear();
    const { user } = await page({}, window.sessionStorage);
    await signIn(user);
    expect(window.sessionStorage).toHaveLength(0);
  });
});

describe("placing an order", () => {
  test("cannot be done signed out", async () => {
    await page();
    const button = await screen.findByRole<HTMLButtonElement>("button", {
      name: "Sign in to trade",
    });
    expect(button.disabled).toBe(true);
  });

  test("shows status, executed quantity and trades, and sends what was filled in", async () => {
    const fills = [
      { price: "20.49", quantity: "1.250", tradeId: 9, fee: "0.00125", feeSymbol: "SOL" },
    ];
    const done = { status: "Filled", executedQuantity: "1.250", executedQuoteQuantity: "25.6125" };
    const { user, requests } = await page({
      "POST /api/v1/order": () => ok(order({ ...done, fills })),
    });
    await signIn(user);
    await fillIn(user, "20.5", "1.25");
    expect(screen.getByTestId("total").textContent).toBe("25.625 USDC");
    await user.click(screen.getByRole("button", { name: "Buy SOL" }));
    expect((await screen.findByTestId("order-status")).textContent).toBe("Filled");
    expect(screen.getByTestId("executed-quantity").textContent).toBe("1.250");
    expect(screen.getByTestId("fills").textContent).toContain("20.491.2500.00125 SOL");
    expect(requests).toContain(
      "POST /api/v1/order " +
        '{"symbol":"SOL_USDC","side":"Bid","orderType":"Limit","quantity":"1.250",' +
        '"price":"20.50","timeInForce":"GTC","clientId":7}',
    );
  });

  test("a quantity off the step is told in place and never sent", async () => {
    const { user, requests } = await page();
    await signIn(user);
    await fillIn(user, "20.5", "0.0005");
    const problem = screen.getByRole("alert").textContent;
    expect(problem).toBe("The quantity goes in steps of 0.001. INVALID_QUANTITY");
    expect(screen.getByLabelText("Quantity").getAttribute("aria-invalid")).toBe("true");
    await user.click(screen.getByRole("button", { name: "Buy SOL" }));
    expect(requests.filter((request) => request.startsWith("POST"))).toEqual([]);
  });

  test("the exchange's refusal is shown with code and message", async () => {
    const { user } = await page({
      "POST /api/v1/order": () => refuse(400, "INSUFFICIENT_FUNDS", "Insufficient funds"),
    });
    await signIn(user);
    await fillIn(user, "20.5", "1000");
    await user.click(screen.getByRole("button", { name: "Buy SOL" }));
    const failure = await screen.findByTestId("order-failure");
    expect(failure.textContent).toBe("Insufficient funds. INSUFFICIENT_FUNDS");
  });

  test("an unknown outcome says so instead of inviting a second order", async () => {
    const { user } = await page({
      "POST /api/v1/order": () => refuse(504, "TIMEOUT", "no reply from the engine in time"),
    });
    await signIn(user);
    await fillIn(user, "20.5", "1");
    await user.click(screen.getByRole("button", { name: "Buy SOL" }));
    const failure = await screen.findByTestId("order-failure");
    expect(failure.textContent).toContain("may have been placed all the same");
  });

  test("a market order by quote asks for the amount to spend", async () => {
    const { user, requests } = await page({
      "POST /api/v1/order": () => ok(order({ orderType: "Market", price: undefined })),
    });
    await signIn(user);
    await user.click(screen.getByRole("radio", { name: "Market" }));
    await user.click(screen.getByRole("radio", { name: "Amount in USDC" }));
    await user.type(screen.getByLabelText("Spend at most"), "30");
    await user.click(screen.getByRole("button", { name: "Buy SOL" }));
    await screen.findByTestId("order-result");
    expect(requests.find((request) => request.startsWith("POST"))).toContain(
      '{"symbol":"SOL_USDC","side":"Bid","orderType":"Market","quoteQuantity":"30","clientId":7}',
    );
  });
});

describe("open orders", () => {
  test("are listed and cancelled one by one and all at once", async () => {
    const resting = [order({ id: "1" }), order({ id: "2" }), order({ id: "3" })];
    const gone = new Set<unknown>();
    const left = () => resting.filter((each) => !gone.has(each.id));
    const { user, requests } = await page({
      "GET /api/v1/orders": () => ok(left()),
      "DELETE /api/v1/order": ({ orderId }) => {
        gone.add(orderId);
        return ok(order({ id: orderId, status: "Cancelled" }));
      },
      "DELETE /api/v1/orders": () => {
        const cancelled = left().map((each) => ({ ...each, status: "Cancelled" }));
        for (const each of resting) gone.add(each.id);
        return ok(cancelled);
      },
    });
    await signIn(user);
    await user.click(await screen.findByRole("button", { name: "Cancel order 2" }));
    await vi.waitFor(() => {
      expect(screen.getAllByRole("button", { name: /^Cancel order/ })).toHaveLength(2);
    });
    expect(requests).toContain('DELETE /api/v1/order {"symbol":"SOL_USDC","orderId":"2"}');
    await user.click(screen.getByRole("button", { name: "Cancel all" }));
    await screen.findByText("No open orders.");
    expect(requests).toContain('DELETE /api/v1/orders {"symbol":"SOL_USDC"}');
  });

  test("cancelling what has just traded away says so and drops the row", async () => {
    const listed = [order({ id: "1" })];
    const { user } = await page({
      "GET /api/v1/orders": () => ok(listed),
      "DELETE /api/v1/order": () => {
        listed.pop();
        return refuse(404, "RESOURCE_NOT_FOUND", "Not Found");
      },
    });
    await signIn(user);
    await user.click(await screen.findByRole("button", { name: "Cancel order 1" }));
    expect((await screen.findByRole("alert")).textContent).toBe("Not Found. RESOURCE_NOT_FOUND");
    expect(screen.getByText("No open orders.")).toBeTruthy();
  });
});
