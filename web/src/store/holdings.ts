// All the page knows of one account: what it owns, what it has open, what it traded. Told by
// answers, polls and the stream, and shown at most once in a while: a program on the same account
// may be busy.
import type { OrderUpdate, OwnFill } from "../api/account_wire";
import type { Balance, Order } from "../api/wire";
import { NO_BALANCES, withBalance, withPolledBalances, type Balances } from "./balances";
import { Cell } from "./cell";
import { addNotices, firedMeanwhile, noticeOf, withoutNotice, type Notices } from "./notices";
import {
  NO_OPEN_ORDERS,
  withOutcomes,
  withoutOrder,
  withPoll,
  type OpenOrders,
} from "./open_orders";
import { addFills, type OwnFills } from "./own_fills";

/** What was known when a poll was asked. */
export interface AskedAt {
  readonly poll: number;
  readonly orders: number;
  readonly balances: number;
}

export class Holdings {
  /** By asset; null until they have been read. */
  readonly balances = new Cell<readonly Balance[] | null>(null);
  /** Newest first. */
  readonly openOrders = new Cell<readonly Order[]>([]);
  /** Newest first. */
  readonly fills = new Cell<OwnFills>([]);
  readonly notices = new Cell<Notices>([]);

  readonly #publishEveryMs: number;
  #balances: Balances = NO_BALANCES;
  #orders: OpenOrders = NO_OPEN_ORDERS;
  #fills: OwnFills = [];
  #notices: Notices = [];
  /** The latest poll that was asked, and the latest whose answer was taken. */
  #asked = 0;
  #taken = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(publishEveryMs: number) {
    this.#publishEveryMs = publishEveryMs;
  }

  forget(): void {
    this.#balances = NO_BALANCES;
    this.#orders = NO_OPEN_ORDERS;
    this.#fills = [];
    this.#notices = [];
    // Answers still on their way are about another account.
    this.#taken = this.#asked + 1;
    this.#publishNow();
  }

  /** To be asked before a poll is, and handed back with its answer. */
  askedAt(): AskedAt {
    this.#asked += 1;
    const [orders, balances] = [this.#orders.changes, this.#balances.changes];
    return { poll: this.#asked, orders, balances };
  }

  polled(balances: readonly Balance[], orders: readonly Order[], askedAt: AskedAt): void {
    if (askedAt.poll < this.#taken) return;
    this.#taken = askedAt.poll;
    const before = this.#orders.orders;
    this.#balances = withPolledBalances(this.#balances, balances, askedAt.balances);
    this.#orders = withPoll(this.#orders, orders, askedAt.orders);
    this.#notices = addNotices(this.#notices, firedMeanwhile(before, this.#orders.orders));
    this.#publishNow();
  }

  /** Read alone, before anything else was. */
  balancesRead(balances: readonly Balance[]): void {
    this.#balances = withPolledBalances(this.#balances, balances, this.#balances.changes);
    this.#publishNow();
  }

  pastFills(fills: readonly OwnFill[]): void {
    this.#fills = addFills(this.#fills, fills);
    this.#publishNow();
  }

  /** Orders as an action of ours left them. */
  outcomes(orders: readonly Order[]): void {
    this.#orders = withOutcomes(this.#orders, orders);
    this.#publishNow();
  }

  /** The exchange does not know it as open. */
  gone(orderId: string): void {
    this.#orders = withoutOrder(this.#orders, orderId);
    this.#publishNow();
  }

  orderUpdate(update: OrderUpdate): void {
    this.#orders = withOutcomes(this.#orders, [update.order]);
    if (update.fill !== null) this.#fills = addFills(this.#fills, [update.fill]);
    const notice = noticeOf(update);
    if (notice !== null) this.#notices = addNotices(this.#notices, [notice]);
    this.#publishSoon();
  }

  balanceUpdate(balance: Balance): void {
    this.#balances = withBalance(this.#balances, balance);
    this.#publishSoon();
  }

  /** The user has read it. */
  putAway(orderId: string): void {
    this.#notices = withoutNotice(this.#notices, orderId);
    this.#publishNow();
  }

  stop(): void {
    clearTimeout(this.#timer);
  }

  #publishSoon(): void {
    this.#timer ??= setTimeout(() => this.#publishNow(), this.#publishEveryMs);
  }

  #publishNow(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.balances.set(this.#balances.list);
    this.openOrders.set(this.#orders.orders);
    this.fills.set(this.#fills);
    this.notices.set(this.#notices);
  }
}
