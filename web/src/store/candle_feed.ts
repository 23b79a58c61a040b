// The candles of one market in the chosen interval: history by REST, the running one by stream.
import { backoffMs, type Backoff } from "../api/backoff";
import { Failure } from "../api/failure";
import type { RestClient } from "../api/rest";
import type { StreamSocket } from "../api/socket";
import { decodeCandleFrame, type Interval, type Market } from "../api/wire";
import { mergeCandles, withCandle, type Candles } from "./candles";
import { Cell } from "./cell";

export interface CandleView {
  readonly interval: Interval;
  readonly candles: Candles;
  /** Why the history is not there (yet). */
  readonly failure: Failure | null;
}

const SECONDS: Readonly<Record<Interval, number>> = {
  "1m": 60,
  "5m": 300,
  "15m": 900,
  "1h": 3600,
  "4h": 14_400,
  "1d": 86_400,
};
const HISTORY_CANDLES = 500;
const RETRY: Backoff = { firstMs: 1000, mostMs: 15_000 };

export class CandleFeed {
  readonly view = new Cell<CandleView>({ interval: "1m", candles: [], failure: null });

  readonly #market: Market;
  readonly #rest: RestClient;
  readonly #socket: StreamSocket;
  readonly #random: () => number;
  #unsubscribe: () => void = () => undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** Counts choices and connections: an answer to a former one is ignored. */
  #life = 0;

  constructor(market: Market, rest: RestClient, socket: StreamSocket, random: () => number) {
    this.#market = market;
    this.#rest = rest;
    this.#socket = socket;
    this.#random = random;
    this.#follow("1m");
  }

  choose(interval: Interval): void {
    if (interval === this.view.get().interval) return;
    this.#unsubscribe();
    this.view.set({ interval, candles: [], failure: null });
    this.#follow(interval);
  }

  dispose(): void {
    this.#life += 1;
    clearTimeout(this.#timer);
    this.#unsubscribe();
  }

  #follow(interval: Interval): void {
    this.#life += 1;
    clearTimeout(this.#timer);
    this.#unsubscribe = this.#socket.subscribe(`kline.${interval}.${this.#market.symbol}`, {
      started: () => {
        this.#life += 1;
        clearTimeout(this.#timer);
        void this.#fetch(interval, this.#life, 0);
      },
      stopped: () => undefined,
      frame: (data) => this.#frame(data),
    });
  }

  #frame(data: unknown): void {
    try {
      const candle = decodeCandleFrame(data, this.#market);
      this.view.update((view) => ({ ...view, candles: withCandle(view.candles, candle) }));
    } catch {
      // A drawing can miss one step of the running candle; the next frame is complete again.
    }
  }

  async #fetch(interval: Interval, life: number, attempt: number): Promise<void> {
    const nowS = Math.floor(this.#rest.serverNowMs() / 1000);
    const startS = nowS - HISTORY_CANDLES * SECONDS[interval];
    try {
      const fetched = await this.#rest.candles(this.#market.symbol, interval, startS, this.#market);
      if (life !== this.#life) return;
      // What the stream said while we waited is at least as new as the fetched rows; what was there
      // before a reconnect is older than both, but for closed candles equal to them.
      const live = this.view.get().candles.at(-1);
      this.view.update((view) => ({
        ...view,
        candles: mergeCandles(fetched, live === undefined ? [] : newerOnly(live, fetched)),
        failure: null,
      }));
    } catch (error) {
      if (life !== this.#life) return;
      const failure = Failure.from(error);
      this.view.update((view) => ({ ...view, failure }));
      const pauseMs = backoffMs(RETRY, attempt, this.#random());
      this.#timer = setTimeout(
        () => void this.#fetch(interval, life, attempt + 1),
        Math.max(pauseMs, failure.retryAfterMs ?? 0),
      );
    }
  }
}

/** The running candle of the stream, unless the history already reaches beyond it. */
function newerOnly(live: Candles[number], fetched: Candles): Candles {
  const last = fetched.at(-1);
  return last === undefined || live.startS >= last.startS ? [live] : [];
}
