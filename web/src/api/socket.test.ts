import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { backoffMs } from "./backoff";
import { StreamSocket, type ConnectionState, type StreamListener } from "./socket";

/** The half of a WebSocket that the page uses, driven by the test. */
class PlayedSocket {
  readonly sent: unknown[] = [];
  closed = false;
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: string }) => void) | null = null;
  onclose: (() => void) | null = null;
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

  test("is tried with doubling pauses up to a limit, afresh after success", async () => {
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

test("jitter keeps between half and all of a pause", () => {
  expect(backoffMs({ firstMs: 1000, mostMs: 8000 }, 1, 0)).toBe(1000);
  expect(backoffMs({ firstMs: 1000, mostMs: 8000 }, 1, 0.999_999)).toBe(2000);
  expect(backoffMs({ firstMs: 1000, mostMs: 8000 }, 500, 0.999_999)).toBe(8000);
});
