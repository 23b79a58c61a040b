import { expect, test } from "vitest";
import { changePercent, grouped } from "./readable";
import { ticks } from "./units";

test("digits are grouped before the point only", () => {
  expect(grouped("1234567.123456")).toBe("1,234,567.123456");
  expect(grouped("999")).toBe("999");
  expect(grouped("-1000")).toBe("-1,000");
});

test("a change is signed and cut to two decimals", () => {
  expect(changePercent(ticks(10000n), ticks(9687n))).toBe("−3.13 %");
  expect(changePercent(ticks(3n), ticks(4n))).toBe("+33.33 %");
  expect(changePercent(ticks(5n), ticks(5n))).toBe("0.00 %");
  expect(changePercent(ticks(0n), ticks(5n))).toBeNull();
});
