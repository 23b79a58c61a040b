// Checks JSON from outside field by field. What does not fit the contract is a `garbled` failure
// that names the member, never an `undefined` that surfaces three screens later.
import { parseDecimal, type Decimal } from "../format/decimal";
import { Failure } from "./failure";

export type Members = Readonly<Record<string, unknown>>;

export function wrong(where: string, expected: string): Failure {
  return new Failure("garbled", "BAD_ANSWER", `the answer has no valid ${where} (${expected})`);
}

export function members(value: unknown, where: string): Members {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw wrong(where, "object");
  }
  return value as Members;
}

export function list<T>(value: unknown, where: string, item: (value: unknown) => T): readonly T[] {
  if (!Array.isArray(value)) throw wrong(where, "array");
  return value.map(item);
}

export function text(from: Members, key: string): string {
  const value = from[key];
  if (typeof value !== "string") throw wrong(key, "string");
  return value;
}

export function optionalText(from: Members, key: string): string | null {
  return from[key] === undefined || from[key] === null ? null : text(from, key);
}

export function integer(from: Members, key: string): number {
  const value = from[key];
  if (typeof value !== "number" || !Number.isSafeInteger(value)) throw wrong(key, "integer");
  return value;
}

export function optionalInteger(from: Members, key: string): number | null {
  return from[key] === undefined || from[key] === null ? null : integer(from, key);
}

/** An integer that one place of the contract sends as a number and another as a string. */
export function integerOrDigits(from: Members, key: string): number {
  const value = from[key];
  if (typeof value === "string" && /^\d{1,15}$/.test(value)) return Number(value);
  return integer(from, key);
}

export function flag(from: Members, key: string): boolean {
  const value = from[key];
  if (typeof value !== "boolean") throw wrong(key, "true or false");
  return value;
}

export function decimalString(from: Members, key: string): string {
  const value = text(from, key);
  if (parseDecimal(value) === null) throw wrong(key, "decimal string");
  return value;
}

export function decimal(from: Members, key: string): Decimal {
  const value = parseDecimal(text(from, key));
  if (value === null) throw wrong(key, "decimal string");
  return value;
}

export function optionalDecimal(from: Members, key: string): Decimal | null {
  return from[key] === undefined || from[key] === null ? null : decimal(from, key);
}

export function oneOf<const T extends string>(from: Members, key: string, known: readonly T[]): T {
  const value = text(from, key);
  const found = known.find((name) => name === value);
  if (found === undefined) throw wrong(key, known.join(" | "));
  return found;
}
