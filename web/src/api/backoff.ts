// Waiting times between attempts: doubling, capped, with jitter so that a thousand pages do not
// come back in the same millisecond after a restart.

export interface Backoff {
  readonly firstMs: number;
  readonly mostMs: number;
}

/** Between half and all of `firstMs × 2^attempt`, never above `mostMs`; `random` is in [0, 1). */
export function backoffMs(backoff: Backoff, attempt: number, random: number): number {
  const full = Math.min(backoff.mostMs, backoff.firstMs * 2 ** Math.min(attempt, 30));
  return Math.round(full * (0.5 + random / 2));
}
