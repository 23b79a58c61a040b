// The book against a played exchange: what must hold is that a live book equals the snapshot plus
// every delta, and that nothing else is ever called live.
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { Failure } from "../api/failure";
import type { DepthFrame, DepthSnapshot, Level } from "../api/wire";
import type { MarketUnits } from "../format/decimal";
import { lots, ticks } from "../format/units";
import { bookChecksum } from "./book_checksum";
import { BookKeeper, EMPTY_BOOK, type BookView } from "./book_keeper";

const level = (price: number, amount: number): Level => [
  ticks(BigInt(price)),
  lots(BigInt(amount)),
];

function snapshot(lastUpdateId: number, asks: Level[], bids: Level[]): DepthSnapshot {
  return { lastUpdateId, asks, bids };
}

function delta(first: number, last: number, asks: Level[], bids: Level[] = []): DepthFrame {
  return { firstUpdateId: first, lastUpdateId: last, asks, bids, checksum: null };
}

const UNITS: MarketUnits = {
  tickSize: { digits: 1n, scale: 2 },
  stepSize: { digits: 1n, scale: 3 },
};

/** A frame that says what the book is after it, best first. */
function proved(frame: DepthFrame, asks: Level[], bids: Level[]): DepthFrame {
  return { ...frame, checksum: bookChecksum(asks, bids, UNITS) };
}

/** A keeper whose snapshots the test hands out one by one. */
function desk() {
  const waiting: { resolve: (depth: DepthSnapshot) => void; reject: (why: unknown) => void }[] = [];
  let view: BookView = EMPTY_BOOK;
  const keeper = new BookKeeper({
    units: UNITS,
    fetchSnapshot: () =>
      new Promise<DepthSnapshot>((resolve, reject) => waiting.push({ resolve, reject })),
    onChange: (changed) => (view = changed),
    rowsMax: 10,
    publishEveryMs: 100,
    retry: { firstMs: 500, mostMs: 4000 },
    random: () => 0.999,
  });
  return {
    keeper,
    asked: () => waiting.length,
    answer: async (depth: DepthSnapshot) => {
      waiting.shift()?.resolve(depth);
      await vi.advanceTimersByTimeAsync(0);
    },
    fail: async (why: unknown) => {
      waiting.shift()?.reject(why);
      await vi.advanceTimersByTimeAsync(0);
    },
    view: () => view,
    /** The view after the throttle has passed: `price×amount`, best first. */
    settled: async () => {
      await vi.advanceTimersByTimeAsync(100);
      const side = (rows: BookView["asks"]) => rows.map((row) => `${row.price}×${row.amount}`);
      return { asks: side(view.asks), bids: side(view.bids), phase: view.phase };
    },
  };
}

const ASKS = [level(101, 5), level(103, 7)];
/** As the exchange sends them: ascending, the best last. */
const BIDS = [level(97, 4), level(99, 3)];

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

async function live(lastUpdateId = 10) {
  const d = desk();
  d.keeper.started();
  await d.answer(snapshot(lastUpdateId, ASKS, BIDS));
  return d;
}

describe("joining", () => {
  test("a snapshot alone is live, sorted best first, with running sums and spread", async () => {
    const d = await live();
    expect(await d.settled()).toEqual({
      phase: "live",
      asks: ["101×5", "103×7"],
      bids: ["99×3", "97×4"],
    });
    expect(d.view().asks.map((row) => row.cumulative)).toEqual([5n, 12n]);
    expect(d.view().spread).toBe(2n);
    expect(d.view().updateId).toBe(10);
  });

  test("buffered frames the snapshot contains are dropped, later ones applied", async () => {
    const d = desk();
    d.keeper.started();
    d.keeper.frame(delta(9, 9, [level(101, 999)]));
    d.keeper.frame(delta(10, 10, [level(101, 888)]));
    d.keeper.frame(delta(11, 11, [level(102, 1)]));
    await d.answer(snapshot(10, ASKS, BIDS));
    expect((await d.settled()).asks).toEqual(["101×5", "102×1", "103×7"]);
    expect(d.view().updateId).toBe(11);
  });

  test("the first frame may begin before the snapshot ends if it reaches beyond", async () => {
    const d = await live();
    d.keeper.frame(delta(8, 12, [level(101, 6)]));
    expect((await d.settled()).asks).toEqual(["101×6", "103×7"]);
    expect(d.view().updateId).toBe(12);
  });

  test("a snapshot older than the buffer is fetched again", async () => {
    const d = desk();
    d.keeper.started();
    d.keeper.frame(delta(15, 15, [level(102, 1)]));
    await d.answer(snapshot(10, ASKS, BIDS));
    expect(d.view().phase).toBe("loading");
    expect(d.asked()).toBe(1);
    await d.answer(snapshot(15, [level(102, 1)], BIDS));
    expect(await d.settled()).toMatchObject({ phase: "live", asks: ["102×1"] });
    expect(d.view().resyncs).toBe(1);
  });
});

describe("following", () => {
  test("amounts are absolute, zero removes, removing nothing is nothing", async () => {
    const d = await live();
    d.keeper.frame(delta(11, 11, [level(101, 2), level(102, 9)], [level(99, 0)]));
    d.keeper.frame(delta(12, 12, [level(150, 0)], [level(98, 8)]));
    expect(await d.settled()).toEqual({
      phase: "live",
      asks: ["101×2", "102×9", "103×7"],
      bids: ["98×8", "97×4"],
    });
  });

  test("a frame seen twice changes nothing and is no gap", async () => {
    const d = await live();
    const frame = delta(11, 11, [level(101, 2)]);
    d.keeper.frame(frame);
    d.keeper.frame(delta(12, 12, [level(101, 1)]));
    d.keeper.frame(frame);
    expect(await d.settled()).toMatchObject({ phase: "live", asks: ["101×1", "103×7"] });
    expect(d.asked()).toBe(0);
  });

  test("joined updates (U < u) follow like single ones", async () => {
    const d = await live();
    d.keeper.frame(delta(11, 14, [level(101, 2)]));
    d.keeper.frame(delta(15, 15, [level(101, 3)]));
    expect(d.view().resyncs).toBe(0);
    expect((await d.settled()).asks[0]).toBe("101×3");
  });

  test("a side may run empty and the spread goes with it", async () => {
    const d = await live();
    d.keeper.frame(delta(11, 11, [level(101, 0), level(103, 0)]));
    expect((await d.settled()).asks).toEqual([]);
    expect(d.view().spread).toBeNull();
  });

  test("many frames are told at most once per period", async () => {
    const d = await live();
    for (let id = 11; id < 30; id += 1) d.keeper.frame(delta(id, id, [level(101, id)]));
    expect(d.view().updateId).toBe(10);
    await vi.advanceTimersByTimeAsync(100);
    expect(d.view().updateId).toBe(29);
  });
});

describe("losing step", () => {
  test.each([
    ["a missing frame", delta(13, 13, [level(101, 1)])],
    ["an overlap after the first frame", delta(11, 12, [level(101, 1)])],
    ["a crossed book", delta(12, 12, [], [level(101, 1)])],
  ])("%s brings a fresh snapshot, and frames meanwhile are kept", async (_what, bad) => {
    const d = await live();
    d.keeper.frame(delta(11, 11, []));
    d.keeper.frame(bad);
    expect(d.view().phase).toBe("loading");
    expect(d.asked()).toBe(1);
    d.keeper.frame(delta(21, 21, [level(102, 2)]));
    await d.answer(snapshot(20, ASKS, BIDS));
    expect(await d.settled()).toMatchObject({ phase: "live", asks: ["101×5", "102×2", "103×7"] });
  });

  test("a frame that cannot be read counts as lost", async () => {
    const d = await live();
    d.keeper.unreadable(new Failure("garbled", "BAD_ANSWER", "no valid price"));
    expect(d.view()).toMatchObject({ phase: "loading", failure: { code: "BAD_ANSWER" } });
    await d.answer(snapshot(20, ASKS, BIDS));
    expect(d.view()).toMatchObject({ phase: "live", failure: null });
  });

  test("a server whose ids never fit is asked with growing pauses", async () => {
    const d = await live();
    d.keeper.frame(delta(20, 20, []));
    expect(d.asked()).toBe(1);
    await d.answer(snapshot(10, ASKS, BIDS));
    d.keeper.frame(delta(21, 21, []));
    expect(d.asked()).toBe(0);
    await vi.advanceTimersByTimeAsync(1000);
    expect(d.asked()).toBe(1);
  });

  test("a failed snapshot is tried again after Retry-After, frames kept meanwhile", async () => {
    const d = desk();
    d.keeper.started();
    const busy = new Failure("refused", "MAINTENANCE", "engine away", { retryAfterMs: 3000 });
    await d.fail(busy);
    expect(d.view()).toMatchObject({ phase: "loading", failure: { code: "MAINTENANCE" } });
    d.keeper.frame(delta(11, 11, [level(101, 6)]));
    await vi.advanceTimersByTimeAsync(2999);
    expect(d.asked()).toBe(0);
    await vi.advanceTimersByTimeAsync(1);
    expect(d.asked()).toBe(1);
    await d.answer(snapshot(10, ASKS, BIDS));
    expect(await d.settled()).toMatchObject({ phase: "live", asks: ["101×6", "103×7"] });
  });

  test("a lost connection makes the book stale until a new one has joined", async () => {
    const d = await live();
    d.keeper.stopped();
    expect(await d.settled()).toMatchObject({ phase: "stale", asks: ["101×5", "103×7"] });
    d.keeper.frame(delta(11, 11, [level(101, 1)]));
    expect((await d.settled()).asks).toEqual(["101×5", "103×7"]);
    d.keeper.started();
    expect(d.view().phase).toBe("loading");
    await d.answer(snapshot(40, [level(105, 1)], BIDS));
    expect(await d.settled()).toMatchObject({ phase: "live", asks: ["105×1"] });
  });

  test("a snapshot asked for before the connection was lost is ignored", async () => {
    const d = desk();
    d.keeper.started();
    d.keeper.stopped();
    await d.answer(snapshot(10, ASKS, BIDS));
    expect(d.view().phase).toBe("idle");
    expect(d.view().asks).toEqual([]);
  });
});

describe("the checksum", () => {
  const BEST_BIDS = [level(99, 3), level(97, 4)];

  test("of a book as it should be changes nothing", async () => {
    const d = await live();
    d.keeper.frame(
      proved(delta(11, 11, [level(101, 2)]), [level(101, 2), level(103, 7)], BEST_BIDS),
    );
    expect(await d.settled()).toMatchObject({ phase: "live", asks: ["101×2", "103×7"] });
    expect(d.view()).toMatchObject({ resyncs: 0, mismatches: 0 });
  });

  test("of another book than ours begins it again, and is counted", async () => {
    const d = await live();
    d.keeper.frame(proved(delta(11, 11, [level(101, 2)]), [level(101, 3)], BEST_BIDS));
    expect(d.view()).toMatchObject({ phase: "loading", resyncs: 1, mismatches: 1 });
    await d.answer(snapshot(11, [level(101, 3)], BIDS));
    expect(await d.settled()).toMatchObject({ phase: "live", asks: ["101×3"] });
    d.keeper.frame(
      proved(delta(12, 12, [level(102, 1)]), [level(101, 3), level(102, 1)], BEST_BIDS),
    );
    expect(d.view()).toMatchObject({ phase: "live", mismatches: 1 });
  });

  test("proves the snapshot too, by the frame it ends with", async () => {
    const d = desk();
    d.keeper.started();
    d.keeper.frame(proved(delta(9, 9, []), [], []));
    d.keeper.frame(proved(delta(10, 10, []), [level(101, 6)], BEST_BIDS));
    await d.answer(snapshot(10, ASKS, BIDS));
    expect(d.view()).toMatchObject({ phase: "loading", mismatches: 1 });
    expect(d.asked()).toBe(1);
  });

  test("that is always wrong does not hammer the exchange", async () => {
    const d = await live();
    const wrong = (id: number): DepthFrame => ({ ...delta(id, id, []), checksum: 1 });
    d.keeper.frame(wrong(11));
    await d.answer(snapshot(11, ASKS, BIDS));
    d.keeper.frame(wrong(12));
    expect(d.asked()).toBe(0);
    await vi.advanceTimersByTimeAsync(1000);
    expect(d.asked()).toBe(1);
  });
});

test("after any walk of changes the book equals one kept by a plain map", async () => {
  let seed = 7;
  const random = (below: number) => {
    seed = (seed * 1103515245 + 12345) % 2147483648;
    return seed % below;
  };
  const d = desk();
  d.keeper.started();
  await d.answer(snapshot(0, [], []));
  const plain = { asks: new Map<number, number>(), bids: new Map<number, number>() };
  for (let id = 1; id <= 3000; id += 1) {
    const side = random(2) === 0 ? "asks" : "bids";
    const price = side === "asks" ? 1000 + random(40) : 960 + random(40);
    const amount = random(3) === 0 ? 0 : 1 + random(50);
    if (amount === 0) plain[side].delete(price);
    else plain[side].set(price, amount);
    const change = [level(price, amount)];
    d.keeper.frame(side === "asks" ? delta(id, id, change) : delta(id, id, [], change));
  }
  const best = (side: Map<number, number>, direction: 1 | -1) =>
    [...side]
      .sort(([left], [right]) => direction * (left - right))
      .slice(0, 10)
      .map(([price, amount]) => `${price}×${amount}`);
  expect(await d.settled(), "seed 7").toEqual({
    phase: "live",
    asks: best(plain.asks, 1),
    bids: best(plain.bids, -1),
  });
});
