// The newest public trades of one market, newest first, each id once.
import type { PublicTrade } from "../api/wire";

export type Tape = readonly PublicTrade[];

export const TAPE_MAX = 100;

/** Trades of a snapshot and of the stream in any order and overlap. */
export function addTrades(tape: Tape, trades: readonly PublicTrade[]): Tape {
  const newest = tape[0]?.id ?? -1;
  if (trades.length === 1 && trades[0] !== undefined && trades[0].id > newest) {
    return [trades[0], ...tape].slice(0, TAPE_MAX);
  }
  const byId = new Map([...tape, ...trades].map((trade) => [trade.id, trade]));
  return [...byId.values()].sort((left, right) => right.id - left.id).slice(0, TAPE_MAX);
}

/** Trade ids are consecutive per market: does this one leave a hole behind the newest? */
export function leavesHole(tape: Tape, trade: PublicTrade): boolean {
  const newest = tape[0];
  return newest !== undefined && trade.id > newest.id + 1;
}
