import { describe, expect, test } from "vitest";
import {
  addDecimals,
  affordableLots,
  amountText,
  compareDecimals,
  decimalText,
  lotsFromText,
  notionalText,
  parseDecimal,
  priceText,
  shareText,
  ticksFromText,
  trimmedText,
  type Decimal,
  type MarketUnits,
} from "./decimal";
import { barPercent, lots, notional, ticks } from "./units";

function decimal(text: string): Decimal {
  const parsed = parseDecimal(text);
  if (parsed === null) throw new Error(`not a decimal: ${text}`);
  return parsed;
}

const SOL: MarketUnits = { tickSize: decimal("0.01"), stepSize: decimal("0.001") };
const COARSE: MarketUnits = { tickSize: decimal("0.5"), stepSize: decimal("10") };

describe("parsing", () => {
  test.each(["", " 1", "1 ", "1e3", "+1", "1,000", ".", "-", "0x10", "NaN", "1.2.3", "１", "--1"])(
    "refuses %j",
    (text) => expect(parseDecimal(text)).toBeNull(),
  );

  test("refuses a text no amount could need", () => {
    expect(parseDecimal("1".repeat(49))).toBeNull();
  });

  test.each([
    ["0", "0"],
    ["007.50", "7.50"],
    [".5", "0.5"],
    ["3.", "3"],
    ["-0.05", "-0.05"],
    ["-12.300", "-12.300"],
  ])("reads %j as %j", (text, expected) => expect(decimalText(decimal(text))).toBe(expected));

  test("drops only zeros that carry nothing", () => {
    expect(trimmedText(decimal("1.500"))).toBe("1.5");
    expect(trimmedText(decimal("2.00"))).toBe("2");
    expect(trimmedText(decimal("100"))).toBe("100");
  });
});

describe("ticks and lots", () => {
  test("are exact where a float is not", () => {
    const text = "90071992547409.93";
    const price = ticksFromText(text, SOL);
    expect(price).toEqual({ ok: true, value: 9007199254740993n });
    expect(price.ok && priceText(price.value, SOL)).toBe(text);
  });

  test("render with the unit's number of decimals", () => {
    expect(priceText(ticks(2050n), SOL)).toBe("20.50");
    expect(amountText(lots(1n), SOL)).toBe("0.001");
    expect(priceText(ticks(3n), COARSE)).toBe("1.5");
    expect(amountText(lots(3n), COARSE)).toBe("30");
  });

  test("a value between two units is refused, not rounded", () => {
    expect(ticksFromText("20.505", SOL)).toEqual({ ok: false, reason: "off-unit" });
    expect(lotsFromText("0.0005", SOL)).toEqual({ ok: false, reason: "off-unit" });
    expect(ticksFromText("1.25", COARSE)).toEqual({ ok: false, reason: "off-unit" });
    expect(lotsFromText("15", COARSE)).toEqual({ ok: false, reason: "off-unit" });
  });

  test("more decimals than the unit are fine when they are zero", () => {
    expect(ticksFromText("20.5000", SOL)).toEqual({ ok: true, value: 2050n });
  });

  test("every count survives the way to text and back", () => {
    for (const count of [0n, 1n, 9n, 10n, 99n, 12345n, 10n ** 18n, 18446744073709551615n]) {
      for (const units of [SOL, COARSE]) {
        expect(ticksFromText(priceText(ticks(count), units), units)).toEqual({
          ok: true,
          value: count,
        });
        expect(lotsFromText(amountText(lots(count), units), units)).toEqual({
          ok: true,
          value: count,
        });
      }
    }
  });

  test("a notional is exact", () => {
    expect(notionalText(notional(ticks(2051n), lots(1001n)), SOL)).toBe("20.53051");
    expect(notionalText(notional(ticks(3n), lots(2n)), COARSE)).toBe("30");
  });
});

describe("decimals among themselves", () => {
  test("add and compare across scales", () => {
    expect(decimalText(addDecimals(decimal("1.5"), decimal("0.005")))).toBe("1.505");
    expect(compareDecimals(decimal("1.50"), decimal("1.5"))).toBe(0);
    expect(compareDecimals(decimal("1.49"), decimal("1.5"))).toBe(-1);
    expect(compareDecimals(decimal("10"), decimal("9.999"))).toBe(1);
  });

  test("what is affordable is rounded down to whole lots", () => {
    expect(affordableLots(decimal("100"), 100n, ticks(3000n), SOL)).toBe(3333n);
    expect(affordableLots(decimal("100"), 50n, ticks(3000n), SOL)).toBe(1666n);
    expect(affordableLots(decimal("100"), 100n, ticks(0n), SOL)).toBe(0n);
    expect(shareText(decimal("1.2345"), 100n, SOL.stepSize)).toBe("1.234");
    expect(shareText(decimal("1.2345"), 50n, SOL.stepSize)).toBe("0.617");
    expect(shareText(decimal("35"), 100n, COARSE.stepSize)).toBe("30");
  });

  test("a bar never divides by nothing", () => {
    expect(barPercent(lots(1n), lots(4n))).toBe(25);
    expect(barPercent(lots(0n), lots(0n))).toBe(0);
  });
});
