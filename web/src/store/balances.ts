// What the account owns, from polls and from the stream. Both are absolute; a poll that was asked
// before the stream told of an asset may not undo that. Pure.
import type { Balance } from "../api/wire";

export interface Balances {
  /** By asset; null until they have been read. */
  readonly list: readonly Balance[] | null;
  /** Grows with every change the stream told. */
  readonly changes: number;
  /** Which change told of an asset last, of those told since the latest poll was asked. */
  readonly changed: ReadonlyMap<string, number>;
}

export const NO_BALANCES: Balances = {
  list: null,
  changes: 0,
  changed: new Map(),
};

function byAsset(balances: readonly Balance[]): readonly Balance[] {
  return [...balances].sort((left, right) => (left.asset < right.asset ? -1 : 1));
}

/** What the stream says of one asset. */
export function withBalance(state: Balances, told: Balance): Balances {
  const changes = state.changes + 1;
  const others = (state.list ?? []).filter((balance) => balance.asset !== told.asset);
  return {
    list: byAsset([...others, told]),
    changes,
    changed: new Map([...state.changed, [told.asset, changes]]),
  };
}

/**
 * A poll's answer; of assets that changed since it was asked, when `changes` were `askedAt`, ours
 * holds. Polls are taken in the order in which they were asked.
 */
export function withPolledBalances(
  state: Balances,
  polled: readonly Balance[],
  askedAt: number,
): Balances {
  const isNewer = ({ asset }: Balance) => (state.changed.get(asset) ?? 0) > askedAt;
  const kept = (state.list ?? []).filter(isNewer);
  return {
    list: byAsset([...kept, ...polled.filter((balance) => !isNewer(balance))]),
    changes: state.changes,
    changed: new Map([...state.changed].filter(([, change]) => change > askedAt)),
  };
}
