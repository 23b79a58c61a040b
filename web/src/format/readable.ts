// Text for people: grouped digits, percentages, times of day. Display only; nothing is parsed back.
import type { Ticks } from "./units";

/** `1234567.8900` → `1,234,567.8900`. */
export function grouped(text: string): string {
  const [whole = "", fraction] = text.split(".");
  const spaced = whole.replace(/\B(?=(\d{3})+$)/g, ",");
  return fraction === undefined ? spaced : `${spaced}.${fraction}`;
}

/** Change from `first` to `last` with two decimals and a sign; null when nothing traded. */
export function changePercent(first: Ticks, last: Ticks): string | null {
  if (first <= 0n) return null;
  const hundredths = ((last - first) * 10_000n) / first;
  const size = hundredths < 0n ? -hundredths : hundredths;
  const sign = hundredths < 0n ? "−" : hundredths > 0n ? "+" : "";
  return `${sign}${size / 100n}.${(size % 100n).toString().padStart(2, "0")} %`;
}

/** Local time of day, `HH:MM:SS`. */
export function timeOfDay(epochMs: number): string {
  const date = new Date(epochMs);
  return [date.getHours(), date.getMinutes(), date.getSeconds()]
    .map((part) => part.toString().padStart(2, "0"))
    .join(":");
}
