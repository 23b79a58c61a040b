// @vitest-environment happy-dom
// What the account's private streams and the server's word change on the page.
import { act, cleanup, screen, within } from "@testing-library/react";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import {
  closePages,
  ok,
  openPage,
  order,
  signIn,
  type PlayedSocket,
  type Routes,
} from "./played_exchange";

/** The drawing library needs a canvas; nothing here looks at the chart. */
vi.mock("lightweight-charts", () => {
  const series = () => ({
    setData: () => undefined,
    update: () => undefined,
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

const SESSION = { accountId: "5", email: "ann@example.org", csrfToken: "the-token" };
const ME: Routes = { "GET /auth/v1/me": () => ok(SESSION) };
const REFUSAL = { id: null, error: { code: 4003, message: "Invalid signature" } };

const balance = (available: string, locked: string) => ({
  e: "balanceUpdate",
  E: 1735689600200000,
  T: 1735689600200000,
  a: "USDC",
  A: available,
  L: locked,
  S: "0",
});

const update = (e: string, status: string, changes: Record<string, unknown> = {}) => ({
  e,
  E: 1735689600200000,
  T: 1735689600200000,
  s: "SOL_USDC",
  i: "4200000001",
  S: "Bid",
  o: "LIMIT",
  f: "GTC",
  q: "1.250",
  p: "20.50",
  X: status,
  z: "0.000",
  Z: "0",
  t: null,
  V: "RejectTaker",
  O: "USER",
  y: false,
  r: false,
  ...changes,
});

const FILL = { t: 9, l: "0.750", L: "20.50", m: true, n: "0.00075", N: "SOL" };

/** The page of who has a session, with its updates live. */
async function livePage(routes: Routes = {}) {
  const page = await openPage({ ...ME, ...routes });
  await screen.findByTestId("available-USDC");
  page.socket.push("account.balanceUpdate", balance("1000.5", "20"));
  await screen.findByText("Live", { selector: "[data-testid=account-live]" });
  return page;
}

const say = (socket: PlayedSocket, body: unknown) =>
  act(() => socket.onmessage?.({ data: JSON.stringify(body) }));
const row = (id: string) => document.querySelector<HTMLElement>(`tr[data-order="${id}"]`);

beforeEach(() => void vi.spyOn(console, "error").mockImplementation(() => undefined));
afterEach(() => {
  closePages();
  cleanup();
});

describe("the streams of a signed-in account", () => {
  test("are asked for without a signature by who has a session", async () => {
    const { socket } = await livePage();
    expect(socket.sent).toContain(
      '{"method":"SUBSCRIBE","params":["account.orderUpdate","account.balanceUpdate"]}',
    );
  });

  test("are asked for with a signature by who has a key", async () => {
    const { user, socket } = await openPage();
    await signIn(user);
    const asked = socket.sent.find((text) => text.includes("account.orderUpdate")) ?? "{}";
    expect(JSON.parse(asked)).toMatchObject({
      signature: [expect.any(String), expect.any(String), "1735689600123", "5000"],
    });
    await user.click(screen.getByRole("button", { name: "Sign out" }));
    expect(socket.sent.at(-1)).toBe(
      '{"method":"UNSUBSCRIBE","params":["account.orderUpdate","account.balanceUpdate"]}',
    );
  });

  test("come on a connection made with the cookie of who has just signed in", async () => {
    const { user, sockets } = await openPage({ "POST /auth/v1/login": () => ok(SESSION) });
    await user.type(await screen.findByLabelText("E-mail"), SESSION.email);
    await user.type(screen.getByLabelText("Password"), "correct horse");
    await user.click(screen.getByRole("button", { name: "Sign in" }));
    await vi.waitFor(() => expect(sockets).toHaveLength(2));
    act(() => sockets[1]?.onopen?.());
    expect(sockets[1]?.sent.join(" ")).toContain("account.orderUpdate");
    expect(sockets[0]?.sent.join(" ")).not.toContain("account.orderUpdate");
  });

  test("change balances, and move an order from accepted to filled, by themselves", async () => {
    // What REST would say, should the page happen to ask: the same.
    const known = { available: "1000.5", locked: "20", order: [] as unknown[] };
    const { user, socket } = await livePage({
      "GET /api/v1/capital": () => ok({ USDC: { ...known, staked: "0" } }),
      "GET /api/v1/orders": () => ok(known.order),
    });
    const tell = (e: string, status: string, changes: Record<string, unknown> = {}) => {
      const frame = update(e, status, changes);
      const { z: executedQuantity, p: price, q: quantity } = frame;
      const stands = status === "Filled" ? [] : [{ status, executedQuantity, price, quantity }];
      known.order = stands.map((each) => order(each));
      socket.push("account.orderUpdate", frame);
    };
    Object.assign(known, { available: "979.875", locked: "40.625" });
    socket.push("account.balanceUpdate", balance("979.875", "40.625"));
    tell("orderAccepted", "New");
    await screen.findByRole("button", { name: "Cancel order 4200000001" });
    expect(screen.getByTestId("available-USDC").textContent).toBe("979.875");
    tell("orderFill", "PartiallyFilled", { ...FILL, z: "0.750", Z: "15.375" });
    await vi.waitFor(() => expect(row("4200000001")?.textContent).toContain("0.750Partially"));
    tell("orderModified", "PartiallyFilled", { z: "0.750", Z: "15.375", p: "20.45", q: "1.000" });
    await vi.waitFor(() => expect(row("4200000001")?.textContent).toContain("20.451.000"));
    const last = { ...FILL, t: 10, l: "0.250", L: "20.45", z: "1.000", Z: "20.4875" };
    tell("orderFill", "Filled", last);
    await screen.findByText("No open orders.");
    await user.click(screen.getByRole("radio", { name: "Fills 2" }));
    const fills = within(screen.getByTestId("own-fills")).getAllByRole("row").slice(1);
    expect(fills.map((each) => each.dataset["trade"])).toEqual(["10", "9"]);
    expect(fills[0]?.textContent).toContain("Maker20.450.2500.00075 SOL");
  });

  test("join the fills of the past", async () => {
    const past = {
      tradeId: 9,
      orderId: "4200000001",
      clientId: null,
      symbol: "SOL_USDC",
      side: "Bid",
      price: "20.50",
      quantity: "0.750",
      fee: "0.00075",
      feeSymbol: "SOL",
      isMaker: true,
      timestamp: "2025-01-01T00:00:00.200",
      systemOrderType: null,
    };
    const rows = [past, { ...past, tradeId: 8, timestamp: "2024-12-31T23:59:59.000" }];
    const { socket } = await livePage({ "GET /wapi/v1/history/fills": () => ok(rows) });
    socket.push("account.orderUpdate", update("orderFill", "PartiallyFilled", { ...FILL, z: "1" }));
    await screen.findByRole("radio", { name: "Fills 2" });
  });

  test("tell when a waiting order fires or fails, until that is put away", async () => {
    const waiting = { ...order({ id: "5", status: "TriggerPending" }), triggerPrice: "21.00" };
    const { user, socket } = await livePage({ "GET /api/v1/orders": () => ok([waiting]) });
    const trigger = { P: "21.00", Y: "1.250", B: "LastPrice" };
    socket.push("account.orderUpdate", update("orderAccepted", "New", { ...trigger, i: "5" }));
    expect(row("5")?.textContent).toContain("Limit GTC · waits for 21.00");
    const notices = screen.getByTestId("notices");
    await within(notices).findByText(
      "Your waiting order to buy SOL/USDC fired at 21.00: it is now an order like others.",
    );
    const failed = { ...trigger, i: "6", R: "INSUFFICIENT_FUNDS" };
    socket.push("account.orderUpdate", update("triggerFailed", "TriggerFailed", failed));
    await within(notices).findByText(
      "Your waiting order to buy SOL/USDC fired at 21.00 and was refused: insufficient funds.",
    );
    await user.click(screen.getByRole("button", { name: "Put away notice of order 5" }));
    expect(within(notices).getAllByRole("listitem")).toHaveLength(1);
  });

  test("that are refused leave the page to asking, and it says so", async () => {
    const { socket } = await openPage(ME);
    await screen.findByTestId("available-USDC");
    say(socket, REFUSAL);
    const mark = screen.getByTestId("account-live");
    expect(mark.textContent).toBe("Live updates are off; asking every few seconds");
    expect(mark.title).toBe("The exchange said: Invalid signature");
  });
});

describe("cancelling orders when the page closes", () => {
  const NAME = "Cancel my orders when this page closes or loses its connection";

  test("is off by default, and switched on and off with a word to the exchange", async () => {
    const { user, socket } = await livePage();
    const box = screen.getByRole<HTMLInputElement>("checkbox", { name: NAME });
    expect(box.checked).toBe(false);
    expect(socket.sent.join(" ")).not.toContain("cancelOnDisconnect");
    await user.click(box);
    const asked = '{"method":"SUBSCRIBE","params":["account.cancelOnDisconnect"]}';
    expect([box.checked, socket.sent.at(-1)]).toEqual([true, asked]);
    await user.click(box);
    expect([box.checked, socket.sent.at(-1)]).toEqual([false, asked.replace("SUB", "UNSUB")]);
  });

  test("says when a broken connection has set it off", async () => {
    const { user, socket } = await livePage();
    await user.click(screen.getByRole("checkbox", { name: NAME }));
    act(() => socket.onclose?.());
    expect(screen.getByTestId("cancel-on-close").textContent).toContain(
      "the exchange cancels your open orders now",
    );
  });

  test("that a key may not do is off again and said", async () => {
    const { user, socket } = await livePage();
    const box = screen.getByRole<HTMLInputElement>("checkbox", { name: NAME });
    await user.click(box);
    say(socket, REFUSAL);
    expect(box.checked).toBe(false);
    expect(screen.getByTestId("cancel-on-close").textContent).toContain("Not switched on");
  });
});

describe("what the server says of the connection", () => {
  test("why it was ended is shown, and remembered when it is back", async () => {
    const { socket } = await openPage();
    await screen.findByText(/^Live · #10$/);
    act(() => socket.onclose?.({ code: 1008, reason: "too many requests" }));
    const badge = screen.getByTestId("connection");
    expect(badge.textContent).toBe("Disconnected: too many requests");
    expect(badge.parentElement?.title).toBe("Last ended by the server: too many requests (1008)");
  });

  test("a book whose checksum is wrong is begun again and counted at the badge", async () => {
    const { socket } = await openPage();
    await screen.findByText(/^Live · #10$/);
    const badge = screen.getByTestId("connection").parentElement;
    expect(badge?.title).toBe("Nothing was missed so far");
    socket.push("depth.SOL_USDC", { a: [], b: [["20.52", "3.000"]], U: 11, u: 11, k: 12345 });
    expect((await screen.findByTestId("mismatches")).textContent).toBe("1 wrong book");
    expect(badge?.title).toBe("Book begun again once\nChecksum of the book wrong once");
    await screen.findByText(/^Live · #10$/);
  });
});
