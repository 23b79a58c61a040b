import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { backoffMs } from "./backoff";
import { StreamSocket, type ConnectionState, type StreamListener } from "./socket";

/** The half of a WebSocket that the page uses, driven by the test. */
class PlayedSocket {
  readonly sent: unknown[] = [];
  closed = false;
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: string }) => void) | null = null;
  onclose: ((event?: { code: number; reason: string }) => void) | null = null;
  send(text: string): void {
    this.sent.push(JSON.parse(text));
  }
  close(): void {
    this.closed = true;
  }
}

function desk(url: () => Promise<string> = () => Promise.resolve("ws://stream")) {
  const sockets: PlayedSocket[] = [];
  const states: ConnectionState[] = [];
  const refused: [number, string][] = [];
  const socket = new StreamSocket({
    url,
    connect: () => {
      const played = new PlayedSocket();
      sockets.push(played);
      return played as unknown as WebSocket;
    },
    random: () => 0.999_999,
    backoff: { firstMs: 500, mostMs: 4000 },
    connectDeadlineMs: 8000,
    wellAfterMs: 10_000,
    silenceMsMax: 10_000,
    onState: (state) => states.push(state),
    onRefused: (code, message) => refused.push([code, message]),
  });
  const last = () => {
    const played = sockets.at(-1);
    if (played === undefined) throw new Error("no connection was tried");
    return played;
  };
  return { socket, sockets, states, refused, last, phase: () => states.at(-1)?.phase };
}

function listener() {
  const log: unknown[] = [];
  const heard: StreamListener = {
    started: () => log.push("started"),
    stopped: () => log.push("stopped"),
    frame: (data) => log.push(data),
  };
  return { log, heard };
}

const message = (body: unknown) => ({ data: JSON.stringify(body) });
const settle = () => vi.advanceTimersByTimeAsync(0);

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

describe("subscriptions", () => {
  test("wait for the connection, go out together, and frames find their listener", async () => {
    const { socket, last, phase } = desk();
    const [depth, trade] = [listener(), listener()];
    socket.subscribe("depth.SOL_USDC", depth.heard);
    socket.subscribe("trade.SOL_USDC", trade.heard);
    socket.start();
    await settle();
    expect(phase()).toBe("connecting");
    last().onopen?.();
    expect(phase()).toBe("open");
    expect(last().sent).toEqual([
      { method: "SUBSCRIBE", params: ["depth.SOL_USDC", "trade.SOL_USDC"] },
    ]);
    last().onmessage?.(message({ stream: "trade.SOL_USDC", data: 1 }));
    expect([depth.log, trade.log]).toEqual([["started"], ["started", 1]]);
  });

  test("ending one is told to the server, and late frames go nowhere", async () => {
    const { socket, last } = desk();
    socket.start();
    await settle();
    last().onopen?.();
    const { log, heard } = listener();
    const end = socket.subscribe("trade.SOL_USDC", heard);
    end();
    end();
    last().onmessage?.(message({ stream: "trade.SOL_USDC", data: 1 }));
    expect(log).toEqual(["started"]);
    expect(last().sent.slice(-1)).toEqual([{ method: "UNSUBSCRIBE", params: ["trade.SOL_USDC"] }]);
    expect(last().sent).toHaveLength(2);
  });

  test("an error frame is reported and the connection stays", async () => {
    const { socket, last, refused, phase } = desk();
    socket.start();
    await settle();
    last().onopen?.();
    last().onmessage?.(message({ id: null, error: { code: 4006, message: "Invalid stream" } }));
    expect(refused).toEqual([[4006, "Invalid stream"]]);
    expect(phase()).toBe("open");
  });
});

describe("a lost connection", () => {
  test("is told to the listeners and comes back with all subscriptions", async () => {
    const { socket, sockets, last, phase } = desk();
    const { log, heard } = listener();
    socket.subscribe("depth.SOL_USDC", heard);
    socket.start();
    await settle();
    last().onopen?.();
    last().onclose?.();
    expect(phase()).toBe("waiting");
    await vi.advanceTimersByTimeAsync(500);
    expect(sockets).toHaveLength(2);
    last().onopen?.();
    expect(last().sent).toEqual([{ method: "SUBSCRIBE", params: ["depth.SOL_USDC"] }]);
    expect(log).toEqual(["started", "stopped", "started"]);
  });

  test("is tried with doubling pauses up to a limit, afresh once one has done well", async () => {
    const { socket, states, last } = desk();
    socket.start();
    await settle();
    for (let attempt = 0; attempt < 5; attempt += 1) {
      last().onclose?.();
      await vi.advanceTimersByTimeAsync(4000);
    }
    const pauses = () =>
      states.flatMap((state) => (state.phase === "waiting" ? state.retryMs : []));
    expect(pauses()).toEqual([500, 1000, 2000, 4000, 4000]);
    last().onopen?.();
    last().onclose?.();
    expect(pauses().at(-1)).toBe(4000);
    await vi.advanceTimersByTimeAsync(4000);
    last().onopen?.();
    await vi.advanceTimersByTimeAsync(10_000);
    last().onclose?.();
    expect(pauses().at(-1)).toBe(500);
  });

  test("may be tried at once when asked", async () => {
    const { socket, sockets, last } = desk();
    socket.start();
    await settle();
    last().onclose?.();
    socket.retryNow();
    await settle();
    expect(sockets).toHaveLength(2);
    await vi.advanceTimersByTimeAsync(1000);
    expect(sockets).toHaveLength(2);
  });

  test("an address that cannot be had counts as an attempt", async () => {
    const { socket, phase, sockets } = desk(() => Promise.reject(new Error("gateway away")));
    socket.start();
    await settle();
    expect(phase()).toBe("waiting");
    expect(sockets).toHaveLength(0);
  });

  test("silence is a lost connection too, and so is a server that never opens", async () => {
    const { socket, sockets, last, phase } = desk();
    socket.subscribe("ticker.SOL_USDC", listener().heard);
    socket.start();
    await settle();
    await vi.advanceTimersByTimeAsync(8000);
    expect(phase()).toBe("waiting");
    expect(sockets[0]?.closed).toBe(true);
    await vi.advanceTimersByTimeAsync(500);
    last().onopen?.();
    await vi.advanceTimersByTimeAsync(9000);
    last().onmessage?.(message({ stream: "ticker.SOL_USDC", data: {} }));
    await vi.advanceTimersByTimeAsync(9000);
    expect(phase()).toBe("open");
    await vi.advanceTimersByTimeAsync(1000);
    expect(phase()).toBe("waiting");
  });

  test("streams that may be silent for long are waited for", async () => {
    const { socket, last, phase } = desk();
    socket.subscribe("trade.SOL_USDC", listener().heard);
    socket.start();
    await settle();
    last().onopen?.();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(phase()).toBe("open");
  });

  test("is told with the server's reason, and left alone for as long as that asks", async () => {
    const { socket, states, last } = desk();
    socket.start();
    await settle();
    const ended = async (code: number, reason: string) => {
      last().onopen?.();
      await vi.advanceTimersByTimeAsync(10_000);
      last().onclose?.({ code, reason });
      const state = states.at(-1);
      await vi.advanceTimersByTimeAsync(4000);
      return state;
    };
    expect(await ended(1006, "")).toMatchObject({ retryMs: 500, close: null });
    expect(await ended(1013, "")).toMatchObject({
      retryMs: 500,
      close: { reason: "the server asks to begin again" },
    });
    expect(await ended(1001, "going away")).toMatchObject({ retryMs: 1000 });
    expect(await ended(1008, "too many streams")).toMatchObject({
      retryMs: 4000,
      close: { code: 1008, reason: "too many streams" },
    });
  });

  test("what a former connection still says is ignored", async () => {
    const { socket, sockets, last } = desk();
    const { log, heard } = listener();
    socket.subscribe("trade.SOL_USDC", heard);
    socket.start();
    await settle();
    last().onopen?.();
    last().onclose?.();
    sockets[0]?.onmessage?.(message({ stream: "trade.SOL_USDC", data: "ghost" }));
    sockets[0]?.onclose?.();
    expect(log).toEqual(["started", "stopped"]);
  });
});

describe("private streams", () => {
  const STREAMS = ["account.orderUpdate", "account.balanceUpdate"];

  function privately(socket: StreamSocket, proof: () => readonly string[] | null = () => null) {
    const log: unknown[] = [];
    const subscription = socket.subscribePrivate({
      streams: STREAMS,
      proof,
      listener: {
        started: () => log.push("started"),
        stopped: () => log.push("stopped"),
        refused: (why) => log.push(`refused: ${why}`),
        frame: (stream, data) => log.push([stream, data]),
      },
    });
    return { log, subscription };
  }

  test("are asked for apart from public ones, with a proof made anew each time", async () => {
    const { socket, last } = desk();
    socket.subscribe("trade.SOL_USDC", listener().heard);
    let proofs = 0;
    const { log } = privately(socket, () => ["key", `signature ${++proofs}`, "1", "5000"]);
    socket.start();
    await settle();
    last().onopen?.();
    expect(last().sent).toEqual([
      { method: "SUBSCRIBE", params: ["trade.SOL_USDC"] },
      { method: "SUBSCRIBE", params: STREAMS, signature: ["key", "signature 1", "1", "5000"] },
    ]);
    last().onmessage?.(message({ stream: "account.balanceUpdate", data: 7 }));
    last().onclose?.();
    await vi.advanceTimersByTimeAsync(500);
    last().onopen?.();
    expect(last().sent[1]).toMatchObject({ signature: ["key", "signature 2", "1", "5000"] });
    expect(log).toEqual(["started", ["account.balanceUpdate", 7], "stopped", "started"]);
  });

  test("need no signature where the cookie speaks, nor to be ended", async () => {
    const { socket, last } = desk();
    socket.start();
    await settle();
    last().onopen?.();
    const { log, subscription } = privately(socket);
    subscription.end();
    subscription.end();
    last().onmessage?.(message({ stream: "account.orderUpdate", data: 7 }));
    expect(last().sent).toEqual([
      { method: "SUBSCRIBE", params: STREAMS },
      { method: "UNSUBSCRIBE", params: STREAMS },
    ]);
    expect(log).toEqual(["started"]);
  });

  test("that are refused are told so, may be asked for again, and public ones go on", async () => {
    const { socket, last, phase } = desk();
    const trades = listener();
    socket.subscribe("trade.SOL_USDC", trades.heard);
    const { log, subscription } = privately(socket);
    subscription.again();
    socket.start();
    await settle();
    last().onopen?.();
    last().onmessage?.(message({ id: null, error: { code: 4006, message: "Invalid stream" } }));
    last().onmessage?.(message({ id: null, error: { code: 4003, message: "Invalid signature" } }));
    expect(log).toEqual(["started", "refused: Invalid signature"]);
    subscription.again();
    expect(log).toEqual(["started", "refused: Invalid signature", "started"]);
    expect(last().sent.slice(1)).toHaveLength(2);
    expect([trades.log, phase()]).toEqual([["started"], "open"]);
  });

  test("of who has just signed in get a connection that knows the new cookie", async () => {
    const { socket, sockets, last, phase } = desk();
    const trades = listener();
    socket.subscribe("trade.SOL_USDC", trades.heard);
    socket.start();
    await settle();
    last().onopen?.();
    socket.renew();
    expect([trades.log, phase()]).toEqual([["started", "stopped"], "connecting"]);
    await settle();
    expect([sockets.length, sockets[0]?.closed]).toEqual([2, true]);
    last().onopen?.();
    expect(trades.log).toEqual(["started", "stopped", "started"]);
  });
});

test("jitter keeps between half and all of a pause", () => {
  expect(backoffMs({ firstMs: 1000, mostMs: 8000 }, 1, 0)).toBe(1000);
  expect(backoffMs({ firstMs: 1000, mostMs: 8000 }, 1, 0.999_999)).toBe(2000);
  expect(backoffMs({ firstMs: 1000, mostMs: 8000 }, 500, 0.999_999)).toBe(8000);
});
