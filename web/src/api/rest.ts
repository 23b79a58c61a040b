// The REST side of the exchange. Every request has a deadline; every failure is a `Failure`.
import type { MarketUnits } from "../format/decimal";
import { accessHeaders, type Access, type BrowserSession } from "./access";
import { decodeFills, type OwnFill } from "./account_wire";
import { Failure } from "./failure";
import type { Parameters } from "./signing";
import {
  decodeBalances,
  decodeCandle,
  decodeDepthSnapshot,
  decodeMarkets,
  decodeOrder,
  decodeOrders,
  decodeTicker,
  decodeTrade,
  type Balance,
  type Candle,
  type DepthSnapshot,
  type Interval,
  type Market,
  type Order,
  type OrderType,
  type PublicTrade,
  type Side,
  type Ticker,
  type TimeInForce,
} from "./wire";

export interface PlaceOrder {
  readonly symbol: string;
  readonly side: Side;
  readonly orderType: OrderType;
  readonly clientId: number;
  readonly price?: string;
  readonly quantity?: string;
  readonly quoteQuantity?: string;
  readonly timeInForce?: TimeInForce;
  readonly postOnly?: boolean;
}

export interface RestOptions {
  readonly baseUrl: string;
  readonly fetch: (url: string, init: RequestInit) => Promise<Response>;
  readonly nowMs: () => number;
  readonly deadlineMs: number;
}

export interface RestRequest {
  readonly method: "GET" | "POST" | "DELETE";
  readonly path: string;
  readonly parameters?: Parameters;
  /** In place of parameters, for a body with more than plain members. */
  readonly body?: unknown;
  readonly session?: BrowserSession;
  readonly signed?: { readonly instruction: string; readonly credentials: Access };
}

export interface WebConfig {
  readonly streamUrl: string | null;
  readonly faucet: boolean;
}

export class RestClient {
  readonly #options: RestOptions;
  /** Server clock minus ours, from the last `alignClock`. */
  #clockAheadMs = 0;

  constructor(options: RestOptions) {
    this.#options = options;
  }

  async markets(): Promise<readonly Market[]> {
    return decodeMarkets(await this.json({ method: "GET", path: "/api/v1/markets" }));
  }

  async depth(symbol: string, units: MarketUnits): Promise<DepthSnapshot> {
    const parameters = { symbol, limit: 1000 };
    const answer = await this.json({ method: "GET", path: "/api/v1/depth", parameters });
    return decodeDepthSnapshot(answer, units);
  }

  /** Newest first. */
  async trades(symbol: string, limit: number, units: MarketUnits): Promise<readonly PublicTrade[]> {
    const parameters = { symbol, limit };
    const answer = await this.json({ method: "GET", path: "/api/v1/trades", parameters });
    if (!Array.isArray(answer)) throw new Failure("garbled", "BAD_ANSWER", "trades are no array");
    return answer.map((trade) => decodeTrade(trade, units));
  }

  async ticker(symbol: string, units: MarketUnits): Promise<Ticker> {
    const parameters = { symbol };
    const answer = await this.json({ method: "GET", path: "/api/v1/ticker", parameters });
    return decodeTicker(answer, units);
  }

  /** Oldest first, from the candle that holds `startS` to the running one. */
  async candles(
    symbol: string,
    interval: Interval,
    startS: number,
    units: MarketUnits,
  ): Promise<readonly Candle[]> {
    const parameters = { symbol, interval, startTime: startS };
    const answer = await this.json({ method: "GET", path: "/api/v1/klines", parameters });
    if (!Array.isArray(answer)) throw new Failure("garbled", "BAD_ANSWER", "klines are no array");
    return answer.map((row) => decodeCandle(row, units)).filter((candle) => candle !== null);
  }

  /** The server's clock, as far as we know it. */
  serverNowMs(): number {
    return this.#options.nowMs() + this.#clockAheadMs;
  }

  /** What the gateway tells the page; nothing where it tells nothing. */
  async webConfig(): Promise<WebConfig> {
    try {
      const answer = await this.json({ method: "GET", path: "/web/config.json" });
      const { wsUrl, faucet } = (answer ?? {}) as { wsUrl?: unknown; faucet?: unknown };
      const isUrl = typeof wsUrl === "string" && /^wss?:\/\//.test(wsUrl);
      return { streamUrl: isUrl ? wsUrl : null, faucet: faucet === true };
    } catch (error) {
      const failure = Failure.from(error);
      if (failure.status === 404 || failure.kind === "garbled") {
        return { streamUrl: null, faucet: false };
      }
      throw failure;
    }
  }

  /** Learns how far the server's clock is from ours: a signature lives only five seconds. */
  async alignClock(): Promise<void> {
    const sentMs = this.#options.nowMs();
    const answer = await this.#text({ method: "GET", path: "/api/v1/time" });
    const serverMs = Number(answer);
    if (!Number.isSafeInteger(serverMs)) {
      throw new Failure("garbled", "BAD_ANSWER", "the server's time is no integer");
    }
    const receivedMs = this.#options.nowMs();
    this.#clockAheadMs = Math.round(serverMs - (sentMs + receivedMs) / 2);
  }

  async balances(credentials: Access): Promise<readonly Balance[]> {
    const signed = { instruction: "balanceQuery", credentials };
    return decodeBalances(await this.json({ method: "GET", path: "/api/v1/capital", signed }));
  }

  async openOrders(credentials: Access): Promise<readonly Order[]> {
    const signed = { instruction: "orderQueryAll", credentials };
    return decodeOrders(await this.json({ method: "GET", path: "/api/v1/orders", signed }));
  }

  /** The account's side of its newest trades, newest first. */
  async fills(limit: number, credentials: Access): Promise<readonly OwnFill[]> {
    const signed = { instruction: "fillHistoryQueryAll", credentials };
    const path = "/wapi/v1/history/fills";
    return decodeFills(await this.json({ method: "GET", path, parameters: { limit }, signed }));
  }

  async place(order: PlaceOrder, credentials: Access): Promise<Order> {
    const signed = { instruction: "orderExecute", credentials };
    const parameters: Parameters = { ...order };
    return decodeOrder(
      await this.json({ method: "POST", path: "/api/v1/order", parameters, signed }),
    );
  }

  async cancel(symbol: string, orderId: string, credentials: Access): Promise<Order> {
    const signed = { instruction: "orderCancel", credentials };
    const parameters = { symbol, orderId };
    return decodeOrder(
      await this.json({ method: "DELETE", path: "/api/v1/order", parameters, signed }),
    );
  }

  async cancelAll(symbol: string, credentials: Access): Promise<readonly Order[]> {
    const signed = { instruction: "orderCancelAll", credentials };
    const parameters = { symbol };
    return decodeOrders(
      await this.json({ method: "DELETE", path: "/api/v1/orders", parameters, signed }),
    );
  }

  async json(request: RestRequest): Promise<unknown> {
    const answer = await this.#text(request);
    try {
      return JSON.parse(answer);
    } catch (cause) {
      throw new Failure("garbled", "BAD_ANSWER", `${request.path} did not answer JSON`, { cause });
    }
  }

  async #text(request: RestRequest): Promise<string> {
    const { baseUrl, fetch, deadlineMs } = this.#options;
    const signal = AbortSignal.timeout(deadlineMs);
    try {
      const [url, init] = this.#prepared(request);
      const response = await fetch(`${baseUrl}${url}`, { ...init, signal, cache: "no-store" });
      const body = await response.text();
      if (!response.ok) throw refusal(response, body);
      return body;
    } catch (error) {
      if (error instanceof Failure) throw error;
      if (signal.aborted) {
        const message = `no answer within ${deadlineMs / 1000} s`;
        throw new Failure("timeout", "NO_ANSWER", message, { cause: error });
      }
      const message = "the exchange cannot be reached";
      throw new Failure("unreachable", "UNREACHABLE", message, { cause: error });
    }
  }

  #prepared(request: RestRequest): [string, RequestInit] {
    const { method, path, parameters = {}, body = parameters, signed, session } = request;
    const credentials = signed?.credentials ?? session;
    const instruction = signed?.instruction ?? "";
    const headers: Record<string, string> =
      credentials === undefined
        ? {}
        : { ...accessHeaders(instruction, parameters, credentials, this.serverNowMs()) };
    if (method === "GET") {
      const query = new URLSearchParams(
        Object.entries(parameters).map(([key, value]) => [key, String(value)]),
      ).toString();
      return [query === "" ? path : `${path}?${query}`, { method, headers }];
    }
    headers["Content-Type"] = "application/json";
    return [path, { method, headers, body: JSON.stringify(body) }];
  }
}

function refusal(response: Response, body: string): Failure {
  const { status } = response;
  const seconds = Number(response.headers.get("Retry-After") ?? Number.NaN);
  const retryAfterMs = Number.isFinite(seconds) && seconds >= 0 ? seconds * 1000 : null;
  try {
    const { code, message } = JSON.parse(body) as { code?: unknown; message?: unknown };
    if (typeof code === "string" && typeof message === "string") {
      return new Failure("refused", code, message, { status, retryAfterMs });
    }
  } catch {
    // Not JSON: a proxy between us and the gateway spoke. The status is all there is to show.
  }
  const message = response.statusText || "the server answered without an explanation";
  return new Failure("refused", `HTTP_${status}`, message, { status, retryAfterMs });
}
