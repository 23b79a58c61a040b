// The tape and the candles: what arrives twice, late or out of turn.
import { describe, expect, test } from "vitest";
import type { Candle, PublicTrade } from "../api/wire";
import { lots, ticks } from "../format/units";
import { mergeCandles, withCandle } from "./candles";
import { addTrades, leavesHole, TAPE_MAX } from "./tape";

function trade(id: number): PublicTrade {
  return { id, price: ticks(100n), amount: lots(1n), timeMs: id * 1000, takerSide: "Bid" };
}

const ids = (trades: readonly PublicTrade[]) => trades.map((each) => each.id);

describe("the tape", () => {
  test("puts a new trade on top", () => {
    expect(ids(addTrades([trade(1)], [trade(2)]))).toEqual([2, 1]);
  });

  test("joins a snapshot with what the stream already brought, each id once", () => {
    const streamed = addTrades(addTrades([], [trade(7)]), [trade(8)]);
    expect(ids(addTrades(streamed, [trade(7), trade(6), trade(5)]))).toEqual([8, 7, 6, 5]);
  });

  test("takes a late single trade to its place and a repeated one not at all", () => {
    const tape = addTrades([], [trade(3), trade(1)]);
    expect(ids(addTrades(tape, [trade(2)]))).toEqual([3, 2, 1]);
    expect(ids(addTrades(tape, [trade(3)]))).toEqual([3, 1]);
  });

  test("forgets the oldest", () => {
    const many = Array.from({ length: TAPE_MAX + 20 }, (_, index) => trade(index + 1));
    const tape = addTrades([], many);
    expect(tape).toHaveLength(TAPE_MAX);
    expect(tape[0]?.id).toBe(TAPE_MAX + 20);
  });

  test("notices a hole, since ids are consecutive", () => {
    expect(leavesHole([trade(4)], trade(6))).toBe(true);
    expect(leavesHole([trade(4)], trade(5))).toBe(false);
    expect(leavesHole([], trade(9))).toBe(false);
  });
});

describe("candles", () => {
  const candle = (startS: number, close: number): Candle => {
    const price = ticks(BigInt(close));
    return { startS, open: price, high: price, low: price, close: price, volume: lots(1n) };
  };
  const shown = (candles: readonly Candle[]) => candles.map((each) => [each.startS, each.close]);

  test("a frame replaces the running candle or begins the next", () => {
    const run = [candle(60, 1), candle(120, 2)];
    expect(shown(withCandle(run, candle(120, 3)))).toEqual([
      [60, 1n],
      [120, 3n],
    ]);
    expect(shown(withCandle(run, candle(180, 4))).at(-1)).toEqual([180, 4n]);
  });

  test("a late frame does not overwrite what is known of its candle", () => {
    const run = [candle(60, 1), candle(180, 2)];
    expect(shown(withCandle(run, candle(60, 9)))).toEqual(shown(run));
    expect(shown(withCandle(run, candle(120, 5)))).toEqual([
      [60, 1n],
      [120, 5n],
      [180, 2n],
    ]);
  });

  test("where history and stream overlap the newer word holds", () => {
    const merged = mergeCandles([candle(60, 1), candle(120, 2)], [candle(120, 7), candle(180, 8)]);
    expect(shown(merged)).toEqual([
      [60, 1n],
      [120, 7n],
      [180, 8n],
    ]);
  });
});
