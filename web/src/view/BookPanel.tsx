// The live book: asks above, bids below, best prices in the middle, bars for what has gathered up
// to each price. Anything but a live book is greyed out and says so.
import { useRef, type CSSProperties } from "react";
import { amountText, priceText } from "../format/decimal";
import { grouped } from "../format/readable";
import { barPercent, lots, type Lots, type Ticks } from "../format/units";
import type { BookRow } from "../store/book";
import type { BookView } from "../store/book_keeper";
import type { MarketFeed } from "../store/market_feed";
import type { Market, Side } from "../store/vocabulary";
import { FailureNote } from "./FailureNote";
import { useCell } from "./use_cell";
import { useRowsThatFit } from "./use_rows_that_fit";

/** Heights as styles.css draws them: rows, and the table's head with the spread. */
const FIT = { rowPx: 21, restPx: 60, least: 5, most: 30 };

interface Props {
  readonly feed: MarketFeed;
  readonly onPrice: (price: Ticks) => void;
}

export function BookPanel({ feed, onPrice }: Props) {
  const book = useCell(feed.book);
  const { market } = feed;
  const box = useRef<HTMLDivElement>(null);
  const places = useRowsThatFit(box, 2, FIT);
  const asks = book.asks.slice(0, places);
  const bids = book.bids.slice(0, places);
  const [askEnd, bidEnd] = [lastCumulative(asks), lastCumulative(bids)];
  const widest = askEnd > bidEnd ? askEnd : bidEnd;
  const rows = (side: Side, from: readonly BookRow[]) => (
    <BookRows
      side={side}
      rows={from}
      places={places}
      widest={widest}
      market={market}
      onPrice={onPrice}
    />
  );
  return (
    <section className="panel book" data-phase={book.phase} data-testid="book" aria-label="Book">
      <header>
        <h2>Book</h2>
        <span className="quiet" data-testid="book-phase">
          {phaseWords(book)}
        </span>
      </header>
      {book.failure !== null && (
        <FailureNote code={book.failure.code} message={book.failure.message} />
      )}
      <div className="levels-box" ref={box}>
        <table className="levels">
          <thead>
            <tr>
              <th scope="col">Price {market.quoteSymbol}</th>
              <th scope="col">Amount {market.baseSymbol}</th>
              <th scope="col">Sum {market.baseSymbol}</th>
            </tr>
          </thead>
          {rows("Ask", asks)}
          <tbody className="spread">
            <tr>
              <td colSpan={3} data-testid="spread">
                {book.spread === null
                  ? "One side is empty"
                  : `Spread ${priceText(book.spread, market)}`}
              </td>
            </tr>
          </tbody>
          {rows("Bid", bids)}
        </table>
      </div>
    </section>
  );
}

function lastCumulative(rows: readonly BookRow[]): Lots {
  return rows.at(-1)?.cumulative ?? lots(0n);
}

function phaseWords(book: BookView): string {
  switch (book.phase) {
    case "idle":
      return "Waiting for the stream";
    case "loading":
      return book.updateId === null ? "Loading" : "Resynchronising";
    case "live":
      return `Live · #${book.updateId}`;
    case "stale":
      return "Stale, not updating";
  }
}

interface RowsProps {
  readonly side: Side;
  /** Best first. */
  readonly rows: readonly BookRow[];
  /** Rows to draw, filled or not. */
  readonly places: number;
  readonly widest: Lots;
  readonly market: Market;
  readonly onPrice: (price: Ticks) => void;
}

/** Always the same number of rows, so that the middle of the book stands still. */
function BookRows({ side, rows, places, widest, market, onPrice }: RowsProps) {
  const drawn = Array.from({ length: places }, (_, place) => rows[place]);
  if (side === "Ask") drawn.reverse();
  const name = side === "Ask" ? "asks" : "bids";
  return (
    <tbody className={name} data-testid={name}>
      {drawn.map((row, place) =>
        row === undefined ? (
          <tr key={`empty-${place}`} className="empty" aria-hidden="true">
            <td colSpan={3}>&nbsp;</td>
          </tr>
        ) : (
          <Row
            key={row.price.toString()}
            row={row}
            widest={widest}
            market={market}
            onPrice={onPrice}
          />
        ),
      )}
    </tbody>
  );
}

interface RowProps extends Omit<RowsProps, "side" | "rows" | "places"> {
  readonly row: BookRow;
}

function Row({ row, widest, market, onPrice }: RowProps) {
  const price = priceText(row.price, market);
  const style = { "--depth": `${barPercent(row.cumulative, widest)}%` } as CSSProperties;
  return (
    <tr style={style}>
      <td>
        <button
          type="button"
          className="level"
          aria-label={`Use price ${price}`}
          onClick={() => onPrice(row.price)}
        >
          {grouped(price)}
        </button>
      </td>
      <td>{grouped(amountText(row.amount, market))}</td>
      <td>{grouped(amountText(row.cumulative, market))}</td>
    </tr>
  );
}
