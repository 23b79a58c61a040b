// The words of the public API that views may use. Views import from `store` and `format` only.
export { Failure } from "../api/failure";
export type { ConnectionState } from "../api/socket";
export { INTERVALS } from "../api/wire";
export type {
  Balance,
  Candle,
  Interval,
  Market,
  Order,
  OrderType,
  PublicTrade,
  Side,
  Ticker,
  TimeInForce,
} from "../api/wire";
