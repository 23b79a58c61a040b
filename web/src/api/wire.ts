// The shapes of the public API that this page reads, and their decoders. Words are the
// contract's; prices and amounts turn into ticks and lots here, at the edge.
import { lotsFromText, ticksFromText, type Decimal, type MarketUnits } from "../format/decimal";
import type { Lots, Ticks } from "../format/units";
import {
  decimal,
  decimalString,
  flag,
  integer,
  integerOrDigits,
  list,
  members,
  oneOf,
  optionalDecimal,
  optionalInteger,
  optionalText,
  text,
  wrong,
  type Members,
} from "./decode";

export type Side = "Bid" | "Ask";
export type OrderType = "Limit" | "Market";
export type TimeInForce = "GTC" | "IOC" | "FOK";
export type OrderBookState = "Open" | "Closed" | "CancelOnly" | "LimitOnly" | "PostOnly";

export interface Market extends MarketUnits {
  readonly symbol: string;
  readonly baseSymbol: string;
  readonly quoteSymbol: string;
  readonly state: OrderBookState;
  readonly minPrice: Decimal;
  readonly maxPrice: Decimal | null;
  readonly minQuantity: Decimal;
  readonly maxQuantity: Decimal | null;
}

/** A book level; zero lots removes it. */
export type Level = readonly [price: Ticks, amount: Lots];

export interface DepthSnapshot {
  readonly asks: readonly Level[];
  readonly bids: readonly Level[];
  readonly lastUpdateId: number;
}

export interface DepthFrame {
  readonly asks: readonly Level[];
  readonly bids: readonly Level[];
  readonly firstUpdateId: number;
  readonly lastUpdateId: number;
  /** Of the best levels after this frame; null from a server that sends none. */
  readonly checksum: number | null;
}

export interface PublicTrade {
  readonly id: number;
  readonly price: Ticks;
  readonly amount: Lots;
  readonly timeMs: number;
  readonly takerSide: Side;
}

export interface Ticker {
  readonly first: Ticks;
  readonly last: Ticks;
  readonly high: Ticks;
  readonly low: Ticks;
  readonly volume: string;
  readonly quoteVolume: string;
  readonly trades: number;
}

export const INTERVALS = ["1m", "5m", "15m", "1h", "4h", "1d"] as const;
export type Interval = (typeof INTERVALS)[number];

export interface Candle {
  readonly startS: number;
  readonly open: Ticks;
  readonly high: Ticks;
  readonly low: Ticks;
  readonly close: Ticks;
  readonly volume: Lots;
}

export interface Balance {
  readonly asset: string;
  readonly available: Decimal;
  readonly locked: Decimal;
}

export interface OwnTrade {
  readonly tradeId: string;
  readonly price: string;
  readonly quantity: string;
  readonly fee: string;
  readonly feeSymbol: string;
}

/** An order as the exchange tells it. Decimals stay text: they are shown, not reckoned with. */
export interface Order {
  readonly id: string;
  readonly clientId: number | null;
  readonly symbol: string;
  readonly side: Side;
  readonly orderType: OrderType;
  readonly timeInForce: string;
  readonly status: string;
  readonly createdAtMs: number;
  readonly price: string | null;
  readonly quantity: string | null;
  readonly quoteQuantity: string | null;
  readonly executedQuantity: string;
  readonly executedQuoteQuantity: string;
  readonly postOnly: boolean;
  /** The last price at which it becomes an order like others; null if it always was one. */
  readonly triggerPrice: string | null;
  readonly fills: readonly OwnTrade[];
}

const SIDES = ["Bid", "Ask"] as const;

function positiveUnit(from: Members, key: string): Decimal {
  const unit = decimal(from, key);
  if (unit.digits <= 0n) throw wrong(key, "positive decimal");
  return unit;
}

export function decodeMarket(value: unknown): Market {
  const market = members(value, "market");
  const filters = members(market["filters"], "filters");
  const price = members(filters["price"], "filters.price");
  const quantity = members(filters["quantity"], "filters.quantity");
  return {
    symbol: text(market, "symbol"),
    baseSymbol: text(market, "baseSymbol"),
    quoteSymbol: text(market, "quoteSymbol"),
    state: oneOf(market, "orderBookState", [
      "Open",
      "Closed",
      "CancelOnly",
      "LimitOnly",
      "PostOnly",
    ]),
    tickSize: positiveUnit(price, "tickSize"),
    minPrice: decimal(price, "minPrice"),
    maxPrice: optionalDecimal(price, "maxPrice"),
    stepSize: positiveUnit(quantity, "stepSize"),
    minQuantity: decimal(quantity, "minQuantity"),
    maxQuantity: optionalDecimal(quantity, "maxQuantity"),
  };
}

/** The spot markets of an answer; other kinds are none of this page's business. */
export function decodeMarkets(value: unknown): readonly Market[] {
  const spot = list(value, "markets", (item) => members(item, "market")).filter(
    (market) => market["marketType"] === "SPOT" && market["visible"] !== false,
  );
  return spot.map(decodeMarket);
}

function price(from: Members, key: string, units: MarketUnits): Ticks {
  const value = ticksFromText(text(from, key), units);
  if (!value.ok) throw wrong(key, "price in ticks");
  return value.value;
}

function amount(from: Members, key: string, units: MarketUnits): Lots {
  const value = lotsFromText(text(from, key), units);
  if (!value.ok) throw wrong(key, "amount in steps");
  return value.value;
}

function levels(value: unknown, where: string, units: MarketUnits): readonly Level[] {
  return list(value, where, (item): Level => {
    const pair = list(item, where, (part) => part);
    const level = { price: pair[0], quantity: pair[1] };
    return [price(level, "price", units), amount(level, "quantity", units)];
  });
}

export function decodeDepthSnapshot(value: unknown, units: MarketUnits): DepthSnapshot {
  const depth = members(value, "depth");
  return {
    asks: levels(depth["asks"], "asks", units),
    bids: levels(depth["bids"], "bids", units),
    lastUpdateId: integerOrDigits(depth, "lastUpdateId"),
  };
}

export function decodeDepthFrame(value: unknown, units: MarketUnits): DepthFrame {
  const frame = members(value, "depth frame");
  return {
    asks: levels(frame["a"], "a", units),
    bids: levels(frame["b"], "b", units),
    firstUpdateId: integer(frame, "U"),
    lastUpdateId: integer(frame, "u"),
    checksum: optionalInteger(frame, "k"),
  };
}

export function decodeTrade(value: unknown, units: MarketUnits): PublicTrade {
  const trade = members(value, "trade");
  return {
    id: integer(trade, "id"),
    price: price(trade, "price", units),
    amount: amount(trade, "quantity", units),
    timeMs: integer(trade, "timestamp"),
    takerSide: flag(trade, "isBuyerMaker") ? "Ask" : "Bid",
  };
}

export function decodeTradeFrame(value: unknown, units: MarketUnits): PublicTrade {
  const frame = members(value, "trade frame");
  return {
    id: integer(frame, "t"),
    price: price(frame, "p", units),
    amount: amount(frame, "q", units),
    timeMs: Math.floor(integer(frame, "T") / 1000),
    takerSide: flag(frame, "m") ? "Ask" : "Bid",
  };
}

export function decodeTicker(value: unknown, units: MarketUnits): Ticker {
  const ticker = members(value, "ticker");
  return {
    first: price(ticker, "firstPrice", units),
    last: price(ticker, "lastPrice", units),
    high: price(ticker, "high", units),
    low: price(ticker, "low", units),
    volume: decimalString(ticker, "volume"),
    quoteVolume: decimalString(ticker, "quoteVolume"),
    trades: integerOrDigits(ticker, "trades"),
  };
}

export function decodeTickerFrame(value: unknown, units: MarketUnits): Ticker {
  const frame = members(value, "ticker frame");
  return {
    first: price(frame, "o", units),
    last: price(frame, "c", units),
    high: price(frame, "h", units),
    low: price(frame, "l", units),
    volume: decimalString(frame, "v"),
    quoteVolume: decimalString(frame, "V"),
    trades: integer(frame, "n"),
  };
}

/** `2025-01-01 00:00:00` (REST) or with a `T` (stream): UTC, no zone. */
function utcSeconds(from: Members, key: string): number {
  const value = text(from, key);
  const ms = Date.parse(`${value.replace(" ", "T")}Z`);
  if (!/^\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d$/.test(value) || Number.isNaN(ms)) {
    throw wrong(key, "time in UTC");
  }
  return ms / 1000;
}

/** Null for an interval without trades. */
export function decodeCandle(value: unknown, units: MarketUnits): Candle | null {
  const row = members(value, "kline");
  if (row["open"] === null) return null;
  return {
    startS: utcSeconds(row, "start"),
    open: price(row, "open", units),
    high: price(row, "high", units),
    low: price(row, "low", units),
    close: price(row, "close", units),
    volume: amount(row, "volume", units),
  };
}

export function decodeCandleFrame(value: unknown, units: MarketUnits): Candle {
  const frame = members(value, "kline frame");
  return {
    startS: utcSeconds(frame, "t"),
    open: price(frame, "o", units),
    high: price(frame, "h", units),
    low: price(frame, "l", units),
    close: price(frame, "c", units),
    volume: amount(frame, "v", units),
  };
}

export function decodeBalances(value: unknown): readonly Balance[] {
  return Object.entries(members(value, "balances"))
    .map(([asset, cells]) => {
      const balance = members(cells, asset);
      return {
        asset,
        available: decimal(balance, "available"),
        locked: decimal(balance, "locked"),
      };
    })
    .sort((left, right) => (left.asset < right.asset ? -1 : 1));
}

function decodeOwnTrade(value: unknown): OwnTrade {
  const trade = members(value, "fills");
  return {
    tradeId: String(integerOrDigits(trade, "tradeId")),
    price: decimalString(trade, "price"),
    quantity: decimalString(trade, "quantity"),
    fee: decimalString(trade, "fee"),
    feeSymbol: text(trade, "feeSymbol"),
  };
}

export function decodeOrder(value: unknown): Order {
  const order = members(value, "order");
  const clientId = order["clientId"] ?? null;
  return {
    id: text(order, "id"),
    clientId: clientId === null ? null : integerOrDigits(order, "clientId"),
    symbol: text(order, "symbol"),
    side: oneOf(order, "side", SIDES),
    orderType: oneOf(order, "orderType", ["Limit", "Market"]),
    timeInForce: text(order, "timeInForce"),
    status: text(order, "status"),
    createdAtMs: integer(order, "createdAt"),
    price: optionalText(order, "price"),
    quantity: optionalText(order, "quantity"),
    quoteQuantity: optionalText(order, "quoteQuantity"),
    executedQuantity: decimalString(order, "executedQuantity"),
    executedQuoteQuantity: decimalString(order, "executedQuoteQuantity"),
    postOnly: order["postOnly"] === true,
    triggerPrice: optionalText(order, "triggerPrice"),
    fills: list(order["fills"] ?? [], "fills", decodeOwnTrade),
  };
}

export function decodeOrders(value: unknown): readonly Order[] {
  return list(value, "orders", decodeOrder);
}
