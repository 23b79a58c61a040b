// The words of the public API that views may use. Views import from `store` and `format` only.
export { isSession } from "../api/access";
export type { Access, BrowserSession } from "../api/access";
export type { ApiKey, NewApiKey } from "../api/browser_accounts";
export type { OwnFill } from "../api/account_wire";
export { isRefusal } from "../api/close_reason";
export type { ServerClose } from "../api/close_reason";
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
