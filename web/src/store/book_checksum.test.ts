// The check value is that of CRC-32/ISO-HDLC; the book's is the exchange's own.
import { expect, test } from "vitest";
import type { Level } from "../api/wire";
import { amountText, parseDecimal, priceText, type MarketUnits } from "../format/decimal";
import { lots, ticks } from "../format/units";
import { bookChecksum, crc32 } from "./book_checksum";

const decimal = (text: string) => parseDecimal(text) ?? { digits: 0n, scale: 0 };
const SOL: MarketUnits = { tickSize: decimal("0.01"), stepSize: decimal("0.001") };
const COARSE: MarketUnits = { tickSize: decimal("0.5"), stepSize: decimal("25") };

const level = (price: number, amount: number): Level => [
  ticks(BigInt(price)),
  lots(BigInt(amount)),
];

test("the checksum is the well-known one", () => {
  expect(crc32("")).toBe(0);
  expect(crc32("123456789")).toBe(0xcbf4_3926);
});

test("a book has the checksum the exchange gives it", () => {
  expect(bookChecksum([level(2051, 5)], [level(2050, 20)], SOL)).toBe(1_682_705_020);
  expect(bookChecksum([], [], SOL)).toBe(0);
});

test("it is of the text that is shown, without points and leading zeros", () => {
  const asks = Array.from({ length: 12 }, (_, step) => level(step + 1, 7 * step + 1));
  const bids = [level(1, 3)];
  for (const units of [SOL, COARSE]) {
    const shown = [...asks.slice(0, 10), ...bids].flatMap(([price, amount]) => [
      priceText(price, units),
      amountText(amount, units),
    ]);
    const ascii = shown.map((text) => text.replace(".", "").replace(/^0+/, "")).join("");
    expect(bookChecksum(asks, bids, units)).toBe(crc32(ascii));
  }
});

test("levels behind the tenth do not count, sides do", () => {
  const deep = Array.from({ length: 10 }, (_, step) => level(100 + step, 1));
  expect(bookChecksum([...deep, level(110, 9)], [], SOL)).toBe(bookChecksum(deep, [], SOL));
  expect(bookChecksum([level(1, 2)], [level(3, 4)], SOL)).not.toBe(
    bookChecksum([level(3, 4)], [level(1, 2)], SOL),
  );
});
