// When the account asks for all anew: fast while nothing is streamed, slowly while it is, and at
// once whenever something may have been missed.
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { BrowserAccounts } from "../api/browser_accounts";
import { RestClient } from "../api/rest";
import { StreamSocket } from "../api/socket";
import { Account } from "./account";

const SESSION = { accountId: "5", email: "ann@example.org", csrfToken: "the-token" };
const REFUSAL = { id: null, error: { code: 4003, message: "Invalid signature" } };

class PlayedSocket {
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: string }) => void) | null = null;
  onclose: (() => void) | null = null;
  send(): void {}
  close(): void {}
  push(body: unknown): void {
    this.onmessage?.({ data: JSON.stringify(body) });
  }
}

/** Somebody whose browser has a session, on a connection that has just opened. */
async function desk(answers: Record<string, () => [status: number, body: unknown]> = {}) {
  const asked = { capital: 0 };
  const known: typeof answers = {
    "GET /auth/v1/me": () => [200, SESSION],
    "GET /api/v1/capital": () => [200, {}],
    "GET /api/v1/orders": () => [200, []],
    "GET /wapi/v1/history/fills": () => [200, []],
    ...answers,
  };
  const rest = new RestClient({
    baseUrl: "http://exchange",
    fetch: async (url, init) => {
      const { pathname } = new URL(url);
      if (pathname.endsWith("capital")) asked.capital += 1;
      const [status, body] = known[`${init.method} ${pathname}`]?.() ?? [404, {}];
      return new Response(JSON.stringify(body), { status });
    },
    nowMs: () => 1767225600000,
    deadlineMs: 1000,
  });
  const sockets: PlayedSocket[] = [];
  const socket = new StreamSocket({
    url: () => Promise.resolve("ws://stream"),
    connect: () => {
      sockets.push(new PlayedSocket());
      return sockets.at(-1) as unknown as WebSocket;
    },
    random: () => 0.999_999,
    backoff: { firstMs: 500, mostMs: 4000 },
    connectDeadlineMs: 8000,
    wellAfterMs: 10_000,
    silenceMsMax: 10_000,
    onState: () => undefined,
    onRefused: () => undefined,
  });
  const account = new Account({
    rest,
    accounts: new BrowserAccounts(rest),
    socket,
    storage: null,
    random: () => 0.999_999,
    randomU32: () => 7,
    pollEveryMs: 3000,
    reconcileEveryMs: 20_000,
    publishEveryMs: 50,
    isVisible: () => true,
  });
  socket.start();
  account.resume();
  await vi.advanceTimersByTimeAsync(0);
  const last = () => sockets.at(-1) ?? new PlayedSocket();
  /** How often all was asked for in this time. */
  const askedWithin = async (ms: number) => {
    const before = asked.capital;
    await vi.advanceTimersByTimeAsync(ms);
    return asked.capital - before;
  };
  return { account, asked, last, askedWithin };
}

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

test("without a connection it asks every few seconds", async () => {
  const d = await desk();
  expect(d.asked.capital).toBe(1);
  expect(await d.askedWithin(9000)).toBe(3);
  d.account.stop();
  expect(await d.askedWithin(60_000)).toBe(0);
});

test("live, it asks now and then to reconcile, and not for what its own actions did", async () => {
  const order = { symbol: "SOL_USDC", side: "Bid", orderType: "Limit" };
  const placed = { id: "1", timeInForce: "GTC", status: "New", createdAt: 1 };
  const rest = { executedQuantity: "0", executedQuoteQuantity: "0" };
  const d = await desk({ "POST /api/v1/order": () => [200, { ...order, ...placed, ...rest }] });
  d.last().onopen?.();
  await vi.advanceTimersByTimeAsync(10_000);
  expect(d.account.streams.live.get().phase).toBe("live");
  expect(await d.askedWithin(40_000)).toBe(2);
  await d.account.place({ symbol: "SOL_USDC", side: "Bid", orderType: "Limit" });
  expect(d.account.holdings.openOrders.get()).toMatchObject([{ id: "1" }]);
  expect(await d.askedWithin(1000)).toBe(0);
});

test("live, an action whose outcome is unknown has all asked for", async () => {
  const d = await desk({ "POST /api/v1/order": () => [504, { code: "TIMEOUT", message: "late" }] });
  d.last().onopen?.();
  await vi.advanceTimersByTimeAsync(10_000);
  const before = d.asked.capital;
  const placing = d.account.place({ symbol: "SOL_USDC", side: "Bid", orderType: "Limit" });
  await expect(placing).rejects.toMatchObject({ code: "TIMEOUT" });
  await vi.advanceTimersByTimeAsync(1000);
  expect(d.asked.capital - before).toBe(1);
});

test("a connection that is back has all asked for, twice", async () => {
  const d = await desk();
  d.last().onopen?.();
  await vi.advanceTimersByTimeAsync(10_000);
  d.last().onclose?.();
  await vi.advanceTimersByTimeAsync(500);
  const before = d.asked.capital;
  d.last().onopen?.();
  await vi.advanceTimersByTimeAsync(0);
  expect(d.asked.capital - before).toBe(1);
  await vi.advanceTimersByTimeAsync(3000);
  expect(d.account.streams.live.get().phase).toBe("live");
  expect(d.asked.capital - before).toBeGreaterThanOrEqual(2);
});

test("frames that cannot be read do not hammer the exchange", async () => {
  const d = await desk();
  d.last().onopen?.();
  await vi.advanceTimersByTimeAsync(10_000);
  const before = d.asked.capital;
  for (let count = 0; count < 50; count += 1) {
    d.last().push({ stream: "account.orderUpdate", data: "nonsense" });
  }
  await vi.advanceTimersByTimeAsync(5000);
  expect(d.asked.capital - before).toBe(2);
});

test("refused streams leave it to asking; a session that has ended signs out", async () => {
  let ended = false;
  const d = await desk({
    "GET /api/v1/capital": () =>
      ended ? [401, { code: "UNAUTHORIZED", message: "The session has ended" }] : [200, {}],
  });
  d.last().onopen?.();
  d.last().push(REFUSAL);
  expect(d.account.streams.live.get().phase).toBe("refused");
  expect(await d.askedWithin(4000)).toBeGreaterThanOrEqual(1);
  ended = true;
  await vi.advanceTimersByTimeAsync(4000);
  expect(d.account.session.get()).toBeNull();
  expect(d.account.streams.live.get().phase).toBe("off");
  expect(await d.askedWithin(60_000)).toBe(0);
});
