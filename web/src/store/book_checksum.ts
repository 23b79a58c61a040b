// The checksum by which a kept book is proved: CRC-32 over the best levels as the exchange writes
// them, every number without its point and leading zeros. Pure.
import type { Level } from "../api/wire";
import type { MarketUnits } from "../format/decimal";

/** Levels of each side that count. */
export const CHECKED_LEVELS = 10;

/** ISO-HDLC: reflected, polynomial 0x04C11DB7, as in Ethernet and zip files. */
const REFLECTED_POLYNOMIAL = 0xedb8_8320;

const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let rest = byte;
  for (let bit = 0; bit < 8; bit += 1) {
    rest = rest & 1 ? (rest >>> 1) ^ REFLECTED_POLYNOMIAL : rest >>> 1;
  }
  return rest;
});

/** Of text that is ASCII alone; in [0, 2³²). */
export function crc32(ascii: string): number {
  let rest = 0xffff_ffff;
  for (let at = 0; at < ascii.length; at += 1) {
    const index = (rest ^ ascii.charCodeAt(at)) & 0xff;
    rest = (rest >>> 8) ^ (TABLE[index] ?? 0);
  }
  return (rest ^ 0xffff_ffff) >>> 0;
}

/** Best first. A price in ticks times the tick's digits is its text without the point. */
export function bookChecksum(
  asks: readonly Level[],
  bids: readonly Level[],
  { tickSize, stepSize }: MarketUnits,
): number {
  let ascii = "";
  for (const [price, amount] of [
    ...asks.slice(0, CHECKED_LEVELS),
    ...bids.slice(0, CHECKED_LEVELS),
  ]) {
    ascii += `${price * tickSize.digits}${amount * stepSize.digits}`;
  }
  return crc32(ascii);
}
