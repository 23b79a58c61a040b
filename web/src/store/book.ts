// The levels of one market, and the part of them the page draws. Pure: no network, no timers.
import type { Level } from "../api/wire";
import type { MarketUnits } from "../format/decimal";
import { addLots, lots, spreadTicks, type Lots, type Ticks } from "../format/units";
import { bookChecksum, CHECKED_LEVELS } from "./book_checksum";

export interface BookRow {
  readonly price: Ticks;
  readonly amount: Lots;
  /** Lots from the best price up to and including this row. */
  readonly cumulative: Lots;
}

export interface BookRows {
  /** Best first, both sides. */
  readonly asks: readonly BookRow[];
  readonly bids: readonly BookRow[];
  /** Null while a side is empty. */
  readonly spread: Ticks | null;
}

/** One side, best price first. */
class BookSide {
  readonly #better: (left: Ticks, right: Ticks) => boolean;
  #levels: Level[] = [];

  constructor(better: (left: Ticks, right: Ticks) => boolean) {
    this.#better = better;
  }

  get bestPrice(): Ticks | null {
    return this.#levels[0]?.[0] ?? null;
  }

  replace(levels: readonly Level[]): void {
    this.#levels = levels
      .filter(([, amount]) => amount > 0n)
      .sort(([left], [right]) => (this.#better(left, right) ? -1 : 1));
  }

  /** Absolute amounts; zero removes. Removing what is not there is nothing. */
  apply(levels: readonly Level[]): void {
    for (const level of levels) {
      const [price, amount] = level;
      const index = this.#indexOf(price);
      const found = this.#levels[index]?.[0] === price;
      if (amount === 0n) {
        if (found) this.#levels.splice(index, 1);
      } else {
        this.#levels.splice(index, found ? 1 : 0, level);
      }
    }
  }

  best(most: number): readonly Level[] {
    return this.#levels.slice(0, most);
  }

  rows(most: number): readonly BookRow[] {
    let cumulative = lots(0n);
    return this.#levels.slice(0, most).map(([price, amount]) => {
      cumulative = addLots(cumulative, amount);
      return { price, amount, cumulative };
    });
  }

  /** Where `price` stands or belongs. */
  #indexOf(price: Ticks): number {
    let low = 0;
    let high = this.#levels.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      const level = this.#levels[middle];
      if (level !== undefined && this.#better(level[0], price)) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

export class Book {
  readonly #asks = new BookSide((left, right) => left < right);
  readonly #bids = new BookSide((left, right) => left > right);

  replace(asks: readonly Level[], bids: readonly Level[]): void {
    this.#asks.replace(asks);
    this.#bids.replace(bids);
  }

  apply(asks: readonly Level[], bids: readonly Level[]): void {
    this.#asks.apply(asks);
    this.#bids.apply(bids);
  }

  /** A book at rest never is: seeing it means our copy is wrong. */
  get isCrossed(): boolean {
    const [ask, bid] = [this.#asks.bestPrice, this.#bids.bestPrice];
    return ask !== null && bid !== null && bid >= ask;
  }

  checksum(units: MarketUnits): number {
    const [asks, bids] = [this.#asks.best(CHECKED_LEVELS), this.#bids.best(CHECKED_LEVELS)];
    return bookChecksum(asks, bids, units);
  }

  rows(most: number): BookRows {
    const [ask, bid] = [this.#asks.bestPrice, this.#bids.bestPrice];
    return {
      asks: this.#asks.rows(most),
      bids: this.#bids.rows(most),
      spread: ask !== null && bid !== null ? spreadTicks(ask, bid) : null,
    };
  }
}
