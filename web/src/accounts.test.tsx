// @vitest-environment happy-dom
// Browser accounts on the whole page: signing up and in with a password, keys, demo funds.
import { act, cleanup, render, screen, within } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { buildExchange } from "./build";
import { App } from "./view/App";

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

type Answer = { readonly status?: number; readonly body: unknown };
type Routes = Record<string, (body: Record<string, unknown>) => Answer>;

const ok = (body: unknown): Answer => ({ body });
const refuse = (status: number, code: string, message: string): Answer => ({
  status,
  body: { code, message },
});

const EMAIL = "ann@example.org";
const PASSWORD = "correct horse";
const SESSION = { accountId: "5", email: EMAIL, csrfToken: "the-token" };
const KEY = {
  publicKey: "A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=",
  label: "bot",
  readOnly: false,
  allowedAddresses: [],
  createdAt: 1735689600123,
};

const ROUTES: Routes = {
  "GET /web/config.json": () => ok({ wsUrl: "ws://stream", faucet: true }),
  "GET /api/v1/markets": () =>
    ok([
      {
        symbol: "SOL_USDC",
        baseSymbol: "SOL",
        quoteSymbol: "USDC",
        marketType: "SPOT",
        filters: {
          price: { minPrice: "0.01", maxPrice: null, tickSize: "0.01" },
          quantity: { minQuantity: "0.001", maxQuantity: null, stepSize: "0.001" },
        },
        orderBookState: "Open",
        visible: true,
      },
    ]),
  "GET /api/v1/depth": () => ok({ asks: [], bids: [], lastUpdateId: "10" }),
  "GET /api/v1/trades": () => ok([]),
  "GET /api/v1/klines": () => ok([]),
  "GET /api/v1/capital": () => ok({ USDC: { available: "7", locked: "0", staked: "0" } }),
  "GET /api/v1/orders": () => ok([]),
  "GET /auth/v1/me": () => refuse(401, "UNAUTHORIZED", "Sign in first"),
  "GET /auth/v1/keys": () => ok([]),
};

interface Sent {
  readonly name: string;
  readonly body: Record<string, unknown>;
  readonly csrf: string | null;
}

const stops: (() => void)[] = [];

/** Opens the page on a played exchange; `routes` stand over the usual answers. */
function open(routes: Routes) {
  const sent: Sent[] = [];
  const exchange = buildExchange({
    origin: "http://exchange",
    fetch: async (url, init) => {
      const name = `${init.method} ${new URL(url).pathname}`;
      const body = typeof init.body === "string" ? JSON.parse(init.body) : {};
      sent.push({ name, body, csrf: new Headers(init.headers).get("X-CSRF-Token") });
      const route = routes[name] ?? ROUTES[name];
      const answer = route?.(body) ?? refuse(404, "X", name);
      return new Response(JSON.stringify(answer.body), { status: answer.status ?? 200 });
    },
    connect: () => ({ send: () => undefined, close: () => undefined }) as unknown as WebSocket,
    storage: null,
    isVisible: () => false,
    nowMs: () => 1735689600000,
    random: () => 0.5,
    randomU32: () => 7,
    symbol: null,
  });
  stops.push(() => exchange.stop());
  render(<App exchange={exchange} />);
  act(() => exchange.start());
  return { user: userEvent.setup(), sent };
}

async function fillIn(user: ReturnType<typeof userEvent.setup>): Promise<void> {
  await user.type(await screen.findByLabelText("E-mail"), EMAIL);
  await user.type(screen.getByLabelText("Password"), PASSWORD);
}

beforeEach(() => void vi.spyOn(console, "error").mockImplementation(() => undefined));
afterEach(() => {
  for (const stop of stops.splice(0)) stop();
  cleanup();
});

describe("signing in with a password", () => {
  test("opens the account with the session's token, and signing out ends it", async () => {
    const { user, sent } = open({
      "POST /auth/v1/login": () => ok(SESSION),
      "POST /auth/v1/logout": () => ok({}),
    });
    await fillIn(user);
    await user.click(screen.getByRole("button", { name: "Sign in" }));
    expect((await screen.findByTestId("signed-in-email")).textContent).toBe(EMAIL);
    expect((await screen.findByTestId("available-USDC")).textContent).toBe("7");
    const login = sent.find(({ name }) => name === "POST /auth/v1/login");
    expect(login?.body).toEqual({ email: EMAIL, password: PASSWORD });
    const capital = sent.find(({ name }) => name === "GET /api/v1/capital");
    expect(capital?.csrf).toBe("the-token");
    await user.click(screen.getByRole("button", { name: "Sign out" }));
    expect(await screen.findByLabelText("E-mail")).toBeTruthy();
    expect(sent.find(({ name }) => name === "POST /auth/v1/logout")?.csrf).toBe("the-token");
  });

  test("a refusal is told in the exchange's words", async () => {
    const message = "Wrong e-mail address or password";
    const { user } = open({ "POST /auth/v1/login": () => refuse(401, "UNAUTHORIZED", message) });
    await fillIn(user);
    await user.click(screen.getByRole("button", { name: "Sign in" }));
    expect((await screen.findByRole("alert")).textContent).toBe(`${message}. UNAUTHORIZED`);
  });

  test("a new account is opened with the same form; its problem is marked at the field", async () => {
    let taken = true;
    const { user } = open({
      "POST /auth/v1/signup": () =>
        taken ? refuse(409, "PRECONDITION_FAILED", "email: is registered already") : ok(SESSION),
    });
    await fillIn(user);
    await user.click(screen.getByRole("button", { name: "Create account" }));
    await screen.findByRole("alert");
    expect(screen.getByLabelText("E-mail").getAttribute("aria-invalid")).toBe("true");
    taken = false;
    await user.click(screen.getByRole("button", { name: "Create account" }));
    expect((await screen.findByTestId("signed-in-email")).textContent).toBe(EMAIL);
  });

  test("a browser that has a session needs no password after a reload", async () => {
    open({ "GET /auth/v1/me": () => ok(SESSION) });
    expect((await screen.findByTestId("signed-in-email")).textContent).toBe(EMAIL);
  });

  test("a session that was ended elsewhere shows the form again", async () => {
    let ended = false;
    const { user } = open({
      "GET /auth/v1/me": () => ok(SESSION),
      "GET /api/v1/capital": () =>
        ended ? refuse(401, "UNAUTHORIZED", "The session has ended") : ok({}),
      "POST /auth/v1/faucet": () => {
        ended = true;
        return refuse(401, "UNAUTHORIZED", "The session has ended");
      },
    });
    await user.click(await screen.findByRole("button", { name: "Get USDC" }));
    expect(await screen.findByLabelText("E-mail")).toBeTruthy();
  });
});

describe("API keys", () => {
  test("are created with the secret shown once, listed and revoked", async () => {
    const keys: (typeof KEY)[] = [];
    const { user, sent } = open({
      "GET /auth/v1/me": () => ok(SESSION),
      "GET /auth/v1/keys": () => ok([...keys]),
      "POST /auth/v1/keys": () => {
        keys.push(KEY);
        return ok({ ...KEY, secret: "the-secret" });
      },
      "DELETE /auth/v1/keys": () => {
        keys.pop();
        return ok({ publicKey: KEY.publicKey });
      },
    });
    const panel = within(await screen.findByTestId("api-keys"));
    await panel.findByText("No keys yet.");
    await user.type(panel.getByLabelText("Name of a new key"), "bot");
    await user.type(panel.getByLabelText("Only from these IP addresses"), "10.0.0.1, ::1");
    await user.click(panel.getByRole("button", { name: "Create key" }));
    expect((await panel.findByTestId("new-secret")).textContent).toBe("the-secret");
    const created = sent.find(({ name }) => name === "POST /auth/v1/keys");
    expect(created).toMatchObject({
      body: { label: "bot", readOnly: false, allowedAddresses: ["10.0.0.1", "::1"] },
      csrf: "the-token",
    });
    await user.click(panel.getByRole("button", { name: "I have it" }));
    expect(panel.queryByText("the-secret")).toBeNull();
    await user.click(panel.getByRole("button", { name: "Revoke bot A6EHv/PO" }));
    await panel.findByText("No keys yet.");
  });

  test("that cannot be made say why and keep what was filled in", async () => {
    const { user } = open({
      "GET /auth/v1/me": () => ok(SESSION),
      "POST /auth/v1/keys": () =>
        refuse(409, "PRECONDITION_FAILED", "The account has 50 keys; revoke one first"),
    });
    const panel = within(await screen.findByTestId("api-keys"));
    await user.type(panel.getByLabelText("Name of a new key"), "bot");
    await user.click(panel.getByRole("button", { name: "Create key" }));
    expect((await panel.findByRole("alert")).textContent).toContain("50 keys");
    expect(panel.getByLabelText<HTMLInputElement>("Name of a new key").value).toBe("bot");
  });
});

describe("demo funds", () => {
  test("are asked for by asset, and a second time a day is refused", async () => {
    let given = 0;
    const { user } = open({
      "GET /auth/v1/me": () => ok(SESSION),
      "GET /api/v1/capital": () =>
        ok({ SOL: { available: String(given), locked: "0", staked: "0" } }),
      "POST /auth/v1/faucet": ({ symbol }) => {
        if (given > 0) return refuse(429, "TOO_MANY_REQUESTS", "symbol: was given today");
        given = 50;
        return ok({ accountId: "5", symbol, quantity: "50" });
      },
    });
    await user.click(await screen.findByRole("button", { name: "Get SOL" }));
    await vi.waitFor(() => expect(screen.getByTestId("available-SOL").textContent).toBe("50"));
    await user.click(screen.getByRole("button", { name: "Get SOL" }));
    expect((await screen.findByRole("alert")).textContent).toContain("TOO_MANY_REQUESTS");
  });

  test("are not offered where the exchange gives none", async () => {
    open({
      "GET /auth/v1/me": () => ok(SESSION),
      "GET /web/config.json": () => ok({ wsUrl: "ws://stream", faucet: false }),
    });
    await screen.findByTestId("balances");
    expect(screen.queryByRole("button", { name: "Get SOL" })).toBeNull();
  });
});
