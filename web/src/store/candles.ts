// A run of candles, oldest first, each start once; the newest word on a candle is the true one.
import type { Candle } from "../api/wire";

export type Candles = readonly Candle[];

export const CANDLES_MAX = 1000;

/** A frame for the running candle or the next one; anything older is placed where it belongs. */
export function withCandle(candles: Candles, candle: Candle): Candles {
  const last = candles.at(-1);
  if (last === undefined || candle.startS > last.startS) {
    return [...candles, candle].slice(-CANDLES_MAX);
  }
  if (candle.startS === last.startS) return [...candles.slice(0, -1), candle];
  return mergeCandles([candle], candles);
}

/** Both together; where they overlap `newer` holds. */
export function mergeCandles(older: Candles, newer: Candles): Candles {
  const byStart = new Map([...older, ...newer].map((candle) => [candle.startS, candle]));
  return [...byStart.values()]
    .sort((left, right) => left.startS - right.startS)
    .slice(-CANDLES_MAX);
}
