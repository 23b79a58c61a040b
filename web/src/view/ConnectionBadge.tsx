// Whether what the page shows is of this moment, in one word, always in sight; behind it, what went
// wrong before.
import { EMPTY_BOOK, type BookView } from "../store/book_keeper";
import type { Exchange } from "../store/exchange";
import type { MarketFeed } from "../store/market_feed";
import { isRefusal, type ConnectionState, type ServerClose } from "../store/vocabulary";
import { useCell } from "./use_cell";

function words(state: ConnectionState): string {
  switch (state.phase) {
    case "open":
      return "Live";
    case "connecting":
      return state.attempt === 0 ? "Connecting…" : "Reconnecting…";
    case "waiting":
      return state.close !== null && isRefusal(state.close)
        ? `Disconnected: ${state.close.reason}`
        : "Disconnected";
    case "closed":
      return "Closed";
  }
}

function times(count: number, what: string): string {
  return `${what} ${count === 1 ? "once" : `${count} times`}`;
}

/** What is worth knowing to whoever points at the badge. */
function history(book: BookView, lastClose: ServerClose | null): string {
  const told = [];
  if (book.resyncs > 0) told.push(times(book.resyncs, "Book begun again"));
  if (book.mismatches > 0) told.push(times(book.mismatches, "Checksum of the book wrong"));
  if (lastClose !== null) {
    told.push(`Last ended by the server: ${lastClose.reason} (${lastClose.code})`);
  }
  return told.length === 0 ? "Nothing was missed so far" : told.join("\n");
}

export function ConnectionBadge({ exchange }: { readonly exchange: Exchange }) {
  const feed = useCell(exchange.feed);
  return feed === null ? (
    <Badge exchange={exchange} book={EMPTY_BOOK} />
  ) : (
    <BadgeOfMarket exchange={exchange} feed={feed} />
  );
}

function BadgeOfMarket(props: { readonly exchange: Exchange; readonly feed: MarketFeed }) {
  return <Badge exchange={props.exchange} book={useCell(props.feed.book)} />;
}

function Badge({ exchange, book }: { readonly exchange: Exchange; readonly book: BookView }) {
  const state = useCell(exchange.connection);
  const lastClose = useCell(exchange.lastClose);
  return (
    <div className="connection" data-phase={state.phase} title={history(book, lastClose)}>
      <span role="status" aria-label="Connection" data-testid="connection">
        {words(state)}
      </span>
      {book.mismatches > 0 && (
        <small data-testid="mismatches">
          {book.mismatches === 1 ? "1 wrong book" : `${book.mismatches} wrong books`}
        </small>
      )}
      {state.phase === "waiting" && (
        <button type="button" className="small" onClick={() => exchange.reconnect()}>
          Retry now
        </button>
      )}
    </div>
  );
}
