// What the order form holds, and whether it is an order the market would take. Pure. The codes are
// the exchange's own, so that our word and the server's read alike.
import type { PlaceOrder } from "../api/rest";
import type { Market, OrderType, Side, TimeInForce } from "../api/wire";
import {
  amountText,
  compareDecimals,
  decimalText,
  lotsFromText,
  notionalText,
  parseDecimal,
  priceText,
  ticksFromText,
  trimmedText,
  type Conversion,
  type Decimal,
} from "../format/decimal";
import { notional, type Lots, type Ticks } from "../format/units";

export interface OrderDraft {
  readonly side: Side;
  readonly orderType: OrderType;
  readonly price: string;
  /** Market orders may name what to spend or receive instead of a base amount. */
  readonly measure: "base" | "quote";
  readonly quantity: string;
  readonly quoteQuantity: string;
  readonly timeInForce: TimeInForce;
  readonly postOnly: boolean;
}

export const EMPTY_DRAFT: OrderDraft = {
  side: "Bid",
  orderType: "Limit",
  price: "",
  measure: "base",
  quantity: "",
  quoteQuantity: "",
  timeInForce: "GTC",
  postOnly: false,
};

export type DraftField = "price" | "quantity" | "quoteQuantity" | "form";

export interface DraftProblem {
  readonly field: DraftField;
  readonly code: string;
  readonly message: string;
}

export type DraftCheck =
  | { readonly ok: true; readonly order: Omit<PlaceOrder, "clientId"> }
  | { readonly ok: false; readonly problems: readonly DraftProblem[] };

/** Post-only means resting or nothing: it has no sense on orders that never rest. */
export function canBePostOnly(draft: OrderDraft): boolean {
  return draft.orderType === "Limit" && draft.timeInForce === "GTC";
}

/** Does the order name an amount of quote instead of base? */
export function isByQuote(draft: OrderDraft): boolean {
  return draft.orderType === "Market" && draft.measure === "quote";
}

type Checked<T> = { readonly value: T } | { readonly problem: DraftProblem };

interface Bounds {
  readonly field: "price" | "quantity";
  readonly name: string;
  readonly unit: string;
  readonly unitSize: Decimal;
  readonly least: Decimal;
  readonly most: Decimal | null;
}

function checkedAmount<T>(text: string, bounds: Bounds, read: () => Conversion<T>): Checked<T> {
  const { field, name, unitSize, least, most } = bounds;
  const refuse = (message: string): Checked<T> => ({
    problem: { field, code: `INVALID_${field.toUpperCase()}`, message },
  });
  if (text === "") return refuse(`Enter a ${name}.`);
  const decimal = parseDecimal(text);
  if (decimal === null) return refuse(`The ${name} is no plain decimal number.`);
  if (decimal.digits <= 0n) return refuse(`The ${name} must be above zero.`);
  const converted = read();
  if (!converted.ok) {
    return refuse(`The ${name} goes in ${bounds.unit}s of ${decimalText(unitSize)}.`);
  }
  if (compareDecimals(decimal, least) < 0) {
    return refuse(`The least ${name} is ${trimmedText(least)}.`);
  }
  if (most !== null && compareDecimals(decimal, most) > 0) {
    return refuse(`The greatest ${name} is ${trimmedText(most)}.`);
  }
  return { value: converted.value };
}

function checkedPrice(draft: OrderDraft, market: Market): Checked<Ticks> {
  const text = draft.price.trim();
  const bounds: Bounds = {
    field: "price",
    name: "price",
    unit: "tick",
    unitSize: market.tickSize,
    least: market.minPrice,
    most: market.maxPrice,
  };
  return checkedAmount(text, bounds, () => ticksFromText(text, market));
}

function checkedQuantity(draft: OrderDraft, market: Market): Checked<Lots> {
  const text = draft.quantity.trim();
  const bounds: Bounds = {
    field: "quantity",
    name: "quantity",
    unit: "step",
    unitSize: market.stepSize,
    least: market.minQuantity,
    most: market.maxQuantity,
  };
  return checkedAmount(text, bounds, () => lotsFromText(text, market));
}

/** No step is published for quote amounts: the exchange alone knows its smallest unit. */
function checkedQuote(draft: OrderDraft): Checked<string> {
  const decimal = parseDecimal(draft.quoteQuantity.trim());
  const refuse = (message: string): Checked<string> => ({
    problem: { field: "quoteQuantity", code: "INVALID_QUANTITY", message },
  });
  if (draft.quoteQuantity.trim() === "") return refuse("Enter an amount.");
  if (decimal === null) return refuse("The amount is no plain decimal number.");
  if (decimal.digits <= 0n) return refuse("The amount must be above zero.");
  return { value: trimmedText(decimal) };
}

/** What the market's state forbids, whatever the amounts. */
function closedProblem(draft: OrderDraft, market: Market): DraftProblem | null {
  const paused = (message: string): DraftProblem => ({
    field: "form",
    code: "TRADING_PAUSED",
    message,
  });
  switch (market.state) {
    case "Open":
      return null;
    case "LimitOnly":
      return draft.orderType === "Limit" ? null : paused("Only limit orders are taken now.");
    case "PostOnly":
      return draft.postOnly && canBePostOnly(draft)
        ? null
        : paused("Only post-only orders are taken now.");
    case "CancelOnly":
      return paused("Only cancels are taken now.");
    case "Closed":
      return paused("This market is closed.");
  }
}

export function checkDraft(draft: OrderDraft, market: Market): DraftCheck {
  const problems: DraftProblem[] = [];
  const take = <T>(checked: Checked<T>): T | null => {
    if ("value" in checked) return checked.value;
    problems.push(checked.problem);
    return null;
  };
  const closed = closedProblem(draft, market);
  if (closed !== null) problems.push(closed);

  const { side, orderType, timeInForce } = draft;
  const common = { symbol: market.symbol, side, orderType };
  const price = orderType === "Limit" ? take(checkedPrice(draft, market)) : null;
  const byQuote = isByQuote(draft);
  const amount = byQuote ? null : take(checkedQuantity(draft, market));
  const quote = byQuote ? take(checkedQuote(draft)) : null;
  if (problems.length > 0) return { ok: false, problems };

  const size =
    quote !== null
      ? { quoteQuantity: quote }
      : amount !== null
        ? { quantity: amountText(amount, market) }
        : {};
  if (price === null) return { ok: true, order: { ...common, ...size } };
  const postOnly = draft.postOnly && canBePostOnly(draft);
  return {
    ok: true,
    order: {
      ...common,
      ...size,
      price: priceText(price, market),
      timeInForce,
      ...(postOnly ? { postOnly } : {}),
    },
  };
}

/** Price × quantity of a limit draft, exact; null while one of them is not there yet. */
export function draftTotal(draft: OrderDraft, market: Market): string | null {
  if (draft.orderType !== "Limit") return null;
  const price = ticksFromText(draft.price.trim(), market);
  const amount = lotsFromText(draft.quantity.trim(), market);
  if (!price.ok || !amount.ok || price.value <= 0n || amount.value <= 0n) return null;
  return notionalText(notional(price.value, amount.value), market);
}
