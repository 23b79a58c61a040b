// Decimal text ↔ integers, exact in both directions. A value that does not fit the unit is
// refused, never rounded.
import type { Lots, Notional, Ticks } from "./units";

/** `digits` × 10^−`scale`. */
export interface Decimal {
  readonly digits: bigint;
  readonly scale: number;
}

/** The units of one market: what one tick and one lot are worth. */
export interface MarketUnits {
  readonly tickSize: Decimal;
  readonly stepSize: Decimal;
}

export type Conversion<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly reason: "malformed" | "off-unit" };

/** Longer than any amount the exchange can hold; keeps a pasted novel out of bigint arithmetic. */
const TEXT_LENGTH_MAX = 48;
const PLAIN = /^-?(?:\d+(?:\.\d*)?|\.\d+)$/;

/** Plain notation only (`12`, `0.5`, `.5`, `-3`); null for everything else. */
export function parseDecimal(text: string): Decimal | null {
  if (text.length > TEXT_LENGTH_MAX || !PLAIN.test(text)) return null;
  const [whole = "", fraction = ""] = text.split(".");
  const sign = whole.startsWith("-") ? "-" : "";
  return { digits: BigInt(`${sign}${whole.replace("-", "")}${fraction}`), scale: fraction.length };
}

export function decimalText({ digits, scale }: Decimal): string {
  const negative = digits < 0n;
  const padded = (negative ? -digits : digits).toString().padStart(scale + 1, "0");
  const whole = padded.slice(0, padded.length - scale);
  const fraction = scale > 0 ? `.${padded.slice(padded.length - scale)}` : "";
  return `${negative ? "-" : ""}${whole}${fraction}`;
}

/** Without trailing zeros after the point: `1.500` → `1.5`, `2.00` → `2`. */
export function trimmedText(decimal: Decimal): string {
  const text = decimalText(decimal);
  return text.includes(".") ? text.replace(/\.?0+$/, "") : text;
}

export function compareDecimals(left: Decimal, right: Decimal): -1 | 0 | 1 {
  const a = left.digits * 10n ** BigInt(right.scale);
  const b = right.digits * 10n ** BigInt(left.scale);
  return a < b ? -1 : a > b ? 1 : 0;
}

export function addDecimals(left: Decimal, right: Decimal): Decimal {
  const scale = Math.max(left.scale, right.scale);
  const raise = (value: Decimal) => value.digits * 10n ** BigInt(scale - value.scale);
  return { digits: raise(left) + raise(right), scale };
}

function wholeUnits(text: string, unit: Decimal): Conversion<bigint> {
  const value = parseDecimal(text);
  if (value === null) return { ok: false, reason: "malformed" };
  const dividend = value.digits * 10n ** BigInt(unit.scale);
  const divisor = unit.digits * 10n ** BigInt(value.scale);
  if (dividend % divisor !== 0n) return { ok: false, reason: "off-unit" };
  return { ok: true, value: dividend / divisor };
}

function unitsText(count: bigint, unit: Decimal): string {
  return decimalText({ digits: count * unit.digits, scale: unit.scale });
}

export function ticksFromText(text: string, units: MarketUnits): Conversion<Ticks> {
  return wholeUnits(text, units.tickSize) as Conversion<Ticks>;
}

export function lotsFromText(text: string, units: MarketUnits): Conversion<Lots> {
  return wholeUnits(text, units.stepSize) as Conversion<Lots>;
}

/** A price with the tick's number of decimals. */
export function priceText(price: Ticks, units: MarketUnits): string {
  return unitsText(price, units.tickSize);
}

/** A base amount with the step's number of decimals. */
export function amountText(amount: Lots, units: MarketUnits): string {
  return unitsText(amount, units.stepSize);
}

export function notionalDecimal(value: Notional, units: MarketUnits): Decimal {
  return {
    digits: value * units.tickSize.digits * units.stepSize.digits,
    scale: units.tickSize.scale + units.stepSize.scale,
  };
}

/** A quote amount with only the decimals it needs. */
export function notionalText(value: Notional, units: MarketUnits): string {
  return trimmedText(notionalDecimal(value, units));
}

function wholeShare(available: Decimal, percent: bigint, unit: Decimal): bigint {
  if (unit.digits <= 0n) return 0n;
  const dividend = available.digits * percent * 10n ** BigInt(unit.scale);
  return dividend / (unit.digits * 100n * 10n ** BigInt(available.scale));
}

/** `percent` of `available` in whole units, rounded down. */
export function shareText(available: Decimal, percent: bigint, unit: Decimal): string {
  return unitsText(wholeShare(available, percent, unit), unit);
}

/** The whole lots that `percent` of the `available` quote buys at `price`, rounded down. */
export function affordableLots(
  available: Decimal,
  percent: bigint,
  price: Ticks,
  units: MarketUnits,
): Lots {
  const lotWorth = notionalDecimal(price as bigint as Notional, units);
  return wholeShare(available, percent, lotWorth) as Lots;
}
