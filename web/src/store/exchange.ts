// The root of the stores: markets, connection, the selected market's feed, the account.
import { backoffMs, type Backoff } from "../api/backoff";
import { Failure } from "../api/failure";
import type { RestClient } from "../api/rest";
import type { ServerClose } from "../api/close_reason";
import type { ConnectionState, StreamSocket } from "../api/socket";
import type { Market } from "../api/wire";
import type { Account } from "./account";
import type { ApiKeys } from "./api_keys";
import { Cell } from "./cell";
import { MarketFeed } from "./market_feed";

export type MarketsState =
  | { readonly phase: "loading"; readonly failure: Failure | null }
  | { readonly phase: "ready"; readonly markets: readonly Market[] };

export interface ExchangeOptions {
  readonly rest: RestClient;
  /** Made by the caller, which hands us its reports. */
  readonly socket: StreamSocket;
  readonly connection: Cell<ConnectionState>;
  readonly account: Account;
  readonly apiKeys: ApiKeys;
  readonly random: () => number;
  /** Wanted at first, from the address bar; the first market if there is none such. */
  readonly symbol: string | null;
}

const RETRY: Backoff = { firstMs: 1000, mostMs: 10_000 };

export class Exchange {
  readonly markets = new Cell<MarketsState>({ phase: "loading", failure: null });
  readonly feed = new Cell<MarketFeed | null>(null);
  readonly connection: Cell<ConnectionState>;
  /** Why the server ended the last connection that it ended. */
  readonly lastClose = new Cell<ServerClose | null>(null);
  readonly account: Account;
  readonly apiKeys: ApiKeys;

  readonly #options: ExchangeOptions;
  #marketsTimer: ReturnType<typeof setTimeout> | undefined;

  constructor(options: ExchangeOptions) {
    this.#options = options;
    this.connection = options.connection;
    this.account = options.account;
    this.apiKeys = options.apiKeys;
    this.connection.subscribe(() => {
      const state = this.connection.get();
      if (state.phase === "waiting" && state.close !== null) this.lastClose.set(state.close);
    });
  }

  start(): void {
    this.#options.socket.start();
    this.account.resume();
    void this.#loadMarkets(0);
  }

  /** Ends every connection and timer. */
  stop(): void {
    clearTimeout(this.#marketsTimer);
    this.feed.get()?.dispose();
    this.account.stop();
    this.#options.socket.close();
  }

  /** The user asked, or the browser says the network is back. */
  reconnect(): void {
    this.#options.socket.retryNow();
  }

  select(symbol: string): void {
    const state = this.markets.get();
    if (state.phase !== "ready") return;
    const market = state.markets.find((listed) => listed.symbol === symbol);
    const former = this.feed.get();
    if (market === undefined || former?.market.symbol === symbol) return;
    former?.dispose();
    const { rest, socket, random } = this.#options;
    this.feed.set(new MarketFeed(market, rest, socket, random));
  }

  async #loadMarkets(attempt: number): Promise<void> {
    try {
      const markets = await this.#options.rest.markets();
      this.markets.set({ phase: "ready", markets });
      const wanted = markets.find((market) => market.symbol === this.#options.symbol);
      const first = wanted ?? markets[0];
      if (first !== undefined) this.select(first.symbol);
    } catch (error) {
      const failure = Failure.from(error);
      this.markets.set({ phase: "loading", failure });
      const pauseMs = backoffMs(RETRY, attempt, this.#options.random());
      const waitMs = Math.max(pauseMs, failure.retryAfterMs ?? 0);
      this.#marketsTimer = setTimeout(() => void this.#loadMarkets(attempt + 1), waitMs);
    }
  }
}
