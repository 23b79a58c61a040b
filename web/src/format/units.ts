// Prices and amounts as integers of their market. A brand keeps a price from being added to an
// amount; bigint keeps both exact. Nothing here is ever a `number`.

/** A price in ticks of its market. */
export type Ticks = bigint & { readonly unit: "ticks" };
/** An amount of the base asset in steps of its market. */
export type Lots = bigint & { readonly unit: "lots" };
/** Ticks × lots: an amount of the quote asset in units of tick size × step size. */
export type Notional = bigint & { readonly unit: "notional" };

export const ticks = (value: bigint): Ticks => value as Ticks;
export const lots = (value: bigint): Lots => value as Lots;

export const addLots = (left: Lots, right: Lots): Lots => (left + right) as Lots;
export const spreadTicks = (ask: Ticks, bid: Ticks): Ticks => (ask - bid) as Ticks;
export const notional = (price: Ticks, amount: Lots): Notional => (price * amount) as Notional;

/** `part` of `whole` in percent with one decimal, for the width of a bar: a drawing, not money. */
export function barPercent(part: Lots, whole: Lots): number {
  return whole > 0n ? Number((part * 1000n) / whole) / 10 : 0;
}
