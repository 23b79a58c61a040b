// Everything live of the selected market: book, trades and ticker, from stream and REST joined.
import { backoffMs, type Backoff } from "../api/backoff";
import { Failure } from "../api/failure";
import type { RestClient } from "../api/rest";
import type { StreamListener, StreamSocket } from "../api/socket";
import {
  decodeDepthFrame,
  decodeTickerFrame,
  decodeTradeFrame,
  type Market,
  type Ticker,
} from "../api/wire";
import { BookKeeper, EMPTY_BOOK, type BookView } from "./book_keeper";
import { CandleFeed } from "./candle_feed";
import { Cell } from "./cell";
import { addTrades, leavesHole, TAPE_MAX, type Tape } from "./tape";

const ROWS_MAX = 60;
const PUBLISH_EVERY_MS = 100;
const RETRY: Backoff = { firstMs: 500, mostMs: 10_000 };

export class MarketFeed {
  readonly market: Market;
  readonly book = new Cell<BookView>(EMPTY_BOOK);
  readonly tape = new Cell<Tape>([]);
  /** Null until the first ticker. */
  readonly ticker = new Cell<Ticker | null>(null);
  readonly candles: CandleFeed;

  readonly #rest: RestClient;
  readonly #keeper: BookKeeper;
  readonly #unsubscribe: (() => void)[];
  #tapeTimer: ReturnType<typeof setTimeout> | undefined;
  #tapeFetching = false;
  #disposed = false;

  constructor(market: Market, rest: RestClient, socket: StreamSocket, random: () => number) {
    this.market = market;
    this.#rest = rest;
    this.#keeper = new BookKeeper({
      units: market,
      fetchSnapshot: () => rest.depth(market.symbol, market),
      onChange: (view) => this.book.set(view),
      rowsMax: ROWS_MAX,
      publishEveryMs: PUBLISH_EVERY_MS,
      retry: RETRY,
      random,
    });
    this.candles = new CandleFeed(market, rest, socket, random);
    this.#unsubscribe = [
      socket.subscribe(`depth.${market.symbol}`, this.#depthListener()),
      socket.subscribe(`trade.${market.symbol}`, this.#tradeListener(random)),
      socket.subscribe(`ticker.${market.symbol}`, this.#tickerListener()),
    ];
    void this.#fetchTicker();
  }

  dispose(): void {
    this.#disposed = true;
    for (const unsubscribe of this.#unsubscribe) unsubscribe();
    clearTimeout(this.#tapeTimer);
    this.#keeper.dispose();
    this.candles.dispose();
  }

  #depthListener(): StreamListener {
    return {
      started: () => this.#keeper.started(),
      stopped: () => this.#keeper.stopped(),
      frame: (data) => {
        try {
          this.#keeper.frame(decodeDepthFrame(data, this.market));
        } catch (error) {
          this.#keeper.unreadable(Failure.from(error));
        }
      },
    };
  }

  #tradeListener(random: () => number): StreamListener {
    return {
      started: () => void this.#fetchTape(0, random),
      stopped: () => undefined,
      frame: (data) => {
        try {
          const trade = decodeTradeFrame(data, this.market);
          if (leavesHole(this.tape.get(), trade)) void this.#fetchTape(0, random);
          this.tape.update((tape) => addTrades(tape, [trade]));
        } catch {
          // One trade we cannot read: the tape is fetched instead of shown with a hole.
          void this.#fetchTape(0, random);
        }
      },
    };
  }

  #tickerListener(): StreamListener {
    return {
      started: () => undefined,
      stopped: () => undefined,
      frame: (data) => {
        try {
          this.ticker.set(decodeTickerFrame(data, this.market));
        } catch {
          // The next one comes within a second; the last good one stays meanwhile.
        }
      },
    };
  }

  async #fetchTape(attempt: number, random: () => number): Promise<void> {
    if (this.#tapeFetching || this.#disposed) return;
    this.#tapeFetching = true;
    clearTimeout(this.#tapeTimer);
    try {
      const trades = await this.#rest.trades(this.market.symbol, TAPE_MAX, this.market);
      if (!this.#disposed) this.tape.update((tape) => addTrades(tape, trades));
    } catch (error) {
      const pauseMs = Math.max(
        backoffMs(RETRY, attempt, random()),
        Failure.from(error).retryAfterMs ?? 0,
      );
      if (!this.#disposed) {
        this.#tapeTimer = setTimeout(() => void this.#fetchTape(attempt + 1, random), pauseMs);
      }
    } finally {
      this.#tapeFetching = false;
    }
  }

  async #fetchTicker(): Promise<void> {
    try {
      const ticker = await this.#rest.ticker(this.market.symbol, this.market);
      this.ticker.update((present) => present ?? ticker);
    } catch {
      // Only a head start: the stream brings a ticker every second.
    }
  }
}
