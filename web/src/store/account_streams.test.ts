// The private streams against a played connection: granted by silence, refused by one frame that
// does not say of what.
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { OrderUpdate } from "../api/account_wire";
import { StreamSocket } from "../api/socket";
import { readCredentials } from "../api/signing";
import type { Balance } from "../api/wire";
import { AccountStreams } from "./account_streams";

const SESSION = { accountId: "5", email: "ann@example.org", csrfToken: "the-token" };
const REFUSAL = { id: null, error: { code: 4003, message: "Invalid signature" } };
const BALANCE = { e: "balanceUpdate", E: 2, T: 1, a: "USDC", A: "7", L: "0", S: "0" };

class PlayedSocket {
  readonly sent: { method: string; params: string[]; signature?: string[] }[] = [];
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: string }) => void) | null = null;
  onclose: (() => void) | null = null;
  send(text: string): void {
    this.sent.push(JSON.parse(text));
  }
  close(): void {}
  push(body: unknown): void {
    this.onmessage?.({ data: JSON.stringify(body) });
  }
}

/** Streams on an open connection. */
async function desk() {
  const sockets: PlayedSocket[] = [];
  const [orders, balances] = [[] as OrderUpdate[], [] as Balance[]];
  const counts = { missed: 0, aligned: 0 };
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
  const streams = new AccountStreams({
    socket,
    nowMs: () => 1767225600000,
    alignClock: () => {
      counts.aligned += 1;
      return Promise.reject(new Error("away"));
    },
    random: () => 0.999_999,
    onOrder: (update) => orders.push(update),
    onBalance: (balance) => balances.push(balance),
    onMissed: () => (counts.missed += 1),
  });
  const last = () => {
    const played = sockets.at(-1);
    if (played === undefined) throw new Error("no connection was tried");
    return played;
  };
  socket.start();
  await vi.advanceTimersByTimeAsync(0);
  last().onopen?.();
  const sent = () => last().sent.map(({ method, params }) => `${method} ${params.join(" ")}`);
  const phases = () => [streams.live.get().phase, streams.cancelOnClose.get().phase];
  return { streams, last, sent, phases, orders, balances, counts };
}

const ASKED = "SUBSCRIBE account.orderUpdate account.balanceUpdate";
const ARMED = "SUBSCRIBE account.cancelOnDisconnect";
const DISARMED = "UNSUBSCRIBE account.cancelOnDisconnect";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

describe("order and balance updates", () => {
  test("are live when nothing has refused them, with a fetch before and after", async () => {
    const d = await desk();
    d.streams.begin(SESSION);
    expect([d.sent(), d.phases(), d.counts.missed]).toEqual([[ASKED], ["starting", "off"], 1]);
    expect(d.last().sent[0]).not.toHaveProperty("signature");
    await vi.advanceTimersByTimeAsync(3000);
    expect([d.phases(), d.counts.missed]).toEqual([["live", "off"], 2]);
  });

  test("are live at once when one comes", async () => {
    const d = await desk();
    d.streams.begin(SESSION);
    d.last().push({ stream: "account.balanceUpdate", data: BALANCE });
    expect(d.phases()).toEqual(["live", "off"]);
    expect(d.balances).toMatchObject([{ asset: "USDC", available: { digits: 7n } }]);
    await vi.advanceTimersByTimeAsync(3000);
    expect(d.counts.missed).toBe(2);
  });

  test("of an imported key are asked for with its signature", async () => {
    const d = await desk();
    const key = readCredentials(
      "A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=",
      "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
    );
    if ("message" in key) throw new Error(key.message);
    d.streams.begin(key);
    expect(d.last().sent[0]?.signature).toEqual([
      "A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=",
      "VuezQCs88zWDX4P2DQMyeJIgWIJHh7ibqEYlp/Y+oO7u8/1JsOKQlNmcO73zbiHlmpzBzkNZ5WbzpvFUMk+lAw==",
      "1767225600000",
      "5000",
    ]);
  });

  test("that cannot be read are fetched instead", async () => {
    const d = await desk();
    d.streams.begin(SESSION);
    await vi.advanceTimersByTimeAsync(3000);
    d.last().push({ stream: "account.orderUpdate", data: { e: "orderAccepted" } });
    expect([d.orders, d.counts.missed]).toEqual([[], 3]);
  });

  test("that are refused are asked for again with growing pauses and a set clock", async () => {
    const d = await desk();
    d.streams.begin(SESSION);
    d.last().push(REFUSAL);
    expect(d.streams.live.get()).toEqual({ phase: "refused", message: "Invalid signature" });
    await vi.advanceTimersByTimeAsync(5000);
    expect([d.sent(), d.phases(), d.counts.aligned]).toEqual([
      [ASKED, ASKED],
      ["starting", "off"],
      1,
    ]);
    d.last().push(REFUSAL);
    await vi.advanceTimersByTimeAsync(9000);
    expect(d.sent()).toHaveLength(2);
    await vi.advanceTimersByTimeAsync(1000);
    expect(d.sent()).toHaveLength(3);
    await vi.advanceTimersByTimeAsync(3000);
    expect(d.phases()).toEqual(["live", "off"]);
  });

  test("start again with each connection", async () => {
    const d = await desk();
    d.streams.begin(SESSION);
    await vi.advanceTimersByTimeAsync(3000);
    d.last().onclose?.();
    expect(d.phases()).toEqual(["starting", "off"]);
    await vi.advanceTimersByTimeAsync(500);
    d.last().onopen?.();
    expect([d.sent(), d.counts.missed]).toEqual([[ASKED], 3]);
    await vi.advanceTimersByTimeAsync(3000);
    expect(d.phases()).toEqual(["live", "off"]);
  });

  test("end with the session", async () => {
    const d = await desk();
    d.streams.begin(SESSION);
    d.streams.end();
    d.last().push({ stream: "account.balanceUpdate", data: BALANCE });
    await vi.advanceTimersByTimeAsync(60_000);
    expect(d.sent()).toEqual([ASKED, "UNSUBSCRIBE account.orderUpdate account.balanceUpdate"]);
    expect([d.phases(), d.balances, d.counts.missed]).toEqual([["off", "off"], [], 1]);
  });
});

describe("the wish to have orders cancelled on close", () => {
  async function liveDesk() {
    const d = await desk();
    d.streams.begin(SESSION);
    await vi.advanceTimersByTimeAsync(3000);
    return d;
  }

  test("is off until asked for, and taken back when switched off", async () => {
    const d = await liveDesk();
    expect(d.phases()).toEqual(["live", "off"]);
    d.streams.setCancelOnClose(true);
    expect(d.phases()).toEqual(["live", "starting"]);
    await vi.advanceTimersByTimeAsync(3000);
    expect(d.phases()).toEqual(["live", "on"]);
    d.streams.setCancelOnClose(false);
    expect([d.sent(), d.phases()]).toEqual([
      [ASKED, ARMED, DISARMED],
      ["live", "off"],
    ]);
  });

  test("is told to have come true when the connection breaks, and holds for the next", async () => {
    const d = await liveDesk();
    d.streams.setCancelOnClose(true);
    d.last().onclose?.();
    expect(d.phases()).toEqual(["starting", "lost"]);
    await vi.advanceTimersByTimeAsync(500);
    d.last().onopen?.();
    expect(d.sent()).toEqual([ASKED, ARMED]);
    await vi.advanceTimersByTimeAsync(3000);
    expect(d.phases()).toEqual(["live", "on"]);
  });

  test("that is refused is taken back for certain; the streams are asked for alone", async () => {
    const d = await liveDesk();
    d.streams.setCancelOnClose(true);
    d.last().push(REFUSAL);
    expect([d.sent(), d.phases()]).toEqual([
      [ASKED, ARMED, DISARMED, ASKED],
      ["starting", "refused"],
    ]);
    await vi.advanceTimersByTimeAsync(3000);
    expect(d.phases()).toEqual(["live", "refused"]);
  });

  test("goes with the streams when the session has ended", async () => {
    const d = await liveDesk();
    d.streams.setCancelOnClose(true);
    d.last().onclose?.();
    await vi.advanceTimersByTimeAsync(500);
    d.last().onopen?.();
    d.last().push(REFUSAL);
    d.last().push(REFUSAL);
    expect(d.phases()).toEqual(["refused", "refused"]);
  });

  test("is taken back before signing out, so that nothing is cancelled", async () => {
    const d = await liveDesk();
    d.streams.setCancelOnClose(true);
    d.streams.end();
    expect(d.sent()[2]).toBe(DISARMED);
    d.streams.setCancelOnClose(true);
    expect(d.phases()).toEqual(["off", "off"]);
  });
});
