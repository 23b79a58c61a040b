// Who is signed in, what they own and what they have resting. The secret stays in memory; it goes
// to the tab's session storage only when the user asked for that.
import { Failure } from "../api/failure";
import type { PlaceOrder, RestClient } from "../api/rest";
import { readCredentials, secretText, type Credentials } from "../api/signing";
import type { Balance, Order } from "../api/wire";
import { Cell } from "./cell";
import {
  NO_OPEN_ORDERS,
  withOutcomes,
  withoutOrder,
  withPoll,
  type OpenOrders,
} from "./open_orders";

export interface Session {
  readonly credentials: Credentials;
}

export interface SignInProblem {
  readonly field: "apiKey" | "secret" | "form";
  readonly code: string;
  readonly message: string;
}

export interface AccountOptions {
  readonly rest: RestClient;
  /** The tab's session storage; null where the browser denies it. */
  readonly storage: Pick<Storage, "getItem" | "setItem" | "removeItem"> | null;
  readonly randomU32: () => number;
  readonly pollEveryMs: number;
  /** Polls pause while nobody looks. */
  readonly isVisible: () => boolean;
}

const STORAGE_KEY = "exchange.credentials";

export class Account {
  readonly session = new Cell<Session | null>(null);
  readonly balances = new Cell<readonly Balance[] | null>(null);
  readonly openOrders = new Cell<OpenOrders>(NO_OPEN_ORDERS);
  /** Why the last refresh failed; what is shown is then older than it looks. */
  readonly refreshFailure = new Cell<Failure | null>(null);

  readonly #options: AccountOptions;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #balancesAsked = 0;

  constructor(options: AccountOptions) {
    this.#options = options;
  }

  /** Checks the pair with the exchange before calling anyone signed in; null when all is well. */
  async signIn(apiKey: string, secret: string, remember: boolean): Promise<SignInProblem | null> {
    const credentials = readCredentials(apiKey, secret);
    if ("message" in credentials) return { ...credentials, code: "INVALID_KEY" };
    const { rest, storage } = this.#options;
    try {
      await rest.alignClock();
      this.balances.set(await rest.balances(credentials));
    } catch (error) {
      const failure = Failure.from(error);
      return { field: "form", code: failure.code, message: failure.message };
    }
    if (remember) {
      const pair = { apiKey: credentials.apiKey, secret: secretText(credentials) };
      storage?.setItem(STORAGE_KEY, JSON.stringify(pair));
    } else {
      storage?.removeItem(STORAGE_KEY);
    }
    this.#enter(credentials);
    return null;
  }

  /** Takes up a session the user chose to keep in this tab. */
  resume(): void {
    const kept = this.#options.storage?.getItem(STORAGE_KEY);
    if (kept === null || kept === undefined) return;
    try {
      const { apiKey, secret } = JSON.parse(kept) as { apiKey: string; secret: string };
      const credentials = readCredentials(apiKey, secret);
      if ("message" in credentials) throw new Error(credentials.message);
      this.#options.rest.alignClock().then(
        () => this.#enter(credentials),
        () => this.#enter(credentials),
      );
    } catch {
      this.#options.storage?.removeItem(STORAGE_KEY);
    }
  }

  signOut(): void {
    this.stop();
    this.#options.storage?.removeItem(STORAGE_KEY);
    this.session.set(null);
    this.balances.set(null);
    this.openOrders.set(NO_OPEN_ORDERS);
    this.refreshFailure.set(null);
  }

  /** Ends the polling. */
  stop(): void {
    clearTimeout(this.#timer);
  }

  /** The order as the exchange left it. Throws `Failure`. */
  async place(order: Omit<PlaceOrder, "clientId">): Promise<Order> {
    const credentials = this.#credentials();
    const clientId = this.#options.randomU32();
    return this.#acting(credentials, async () => {
      const placed = await this.#options.rest.place({ ...order, clientId }, credentials);
      this.#record(credentials, (state) => withOutcomes(state, [placed]));
      return placed;
    });
  }

  /** Throws `Failure`; an order that is already gone disappears from the list all the same. */
  async cancel(order: Order): Promise<void> {
    const credentials = this.#credentials();
    await this.#acting(credentials, async () => {
      try {
        const cancelled = await this.#options.rest.cancel(order.symbol, order.id, credentials);
        this.#record(credentials, (state) => withOutcomes(state, [cancelled]));
      } catch (error) {
        if (Failure.from(error).code === "RESOURCE_NOT_FOUND") {
          this.#record(credentials, (state) => withoutOrder(state, order.id));
        }
        throw error;
      }
    });
  }

  /** Every open order of the account, market by market. Throws the first `Failure`. */
  async cancelAll(): Promise<void> {
    const credentials = this.#credentials();
    const symbols = new Set(this.openOrders.get().orders.map((order) => order.symbol));
    await this.#acting(credentials, async () => {
      for (const symbol of symbols) {
        const cancelled = await this.#options.rest.cancelAll(symbol, credentials);
        this.#record(credentials, (state) => withOutcomes(state, cancelled));
      }
    });
  }

  async refresh(): Promise<void> {
    const credentials = this.session.get()?.credentials;
    if (credentials === undefined) return;
    const { rest } = this.#options;
    const askedAt = this.openOrders.get().actions;
    const balancesAsked = ++this.#balancesAsked;
    try {
      const [balances, orders] = await Promise.all([
        rest.balances(credentials),
        rest.openOrders(credentials),
      ]);
      if (!this.#isStill(credentials)) return;
      if (balancesAsked === this.#balancesAsked) this.balances.set(balances);
      this.openOrders.update((state) => withPoll(state, orders, askedAt));
      this.refreshFailure.set(null);
    } catch (error) {
      if (this.#isStill(credentials)) this.refreshFailure.set(Failure.from(error));
    }
  }

  #enter(credentials: Credentials): void {
    this.openOrders.set(NO_OPEN_ORDERS);
    this.refreshFailure.set(null);
    this.session.set({ credentials });
    void this.refresh();
    this.#pollLater();
  }

  #pollLater(): void {
    clearTimeout(this.#timer);
    const failure = this.refreshFailure.get();
    const pauseMs = Math.max(this.#options.pollEveryMs, failure?.retryAfterMs ?? 0);
    this.#timer = setTimeout(() => {
      const refreshed = this.#options.isVisible() ? this.refresh() : Promise.resolve();
      void refreshed.then(() => this.session.get() !== null && this.#pollLater());
    }, pauseMs);
  }

  /** Runs an action and refreshes afterwards, above all when its outcome is unknown. */
  async #acting<T>(credentials: Credentials, action: () => Promise<T>): Promise<T> {
    try {
      return await action();
    } catch (error) {
      throw Failure.from(error);
    } finally {
      if (this.#isStill(credentials)) void this.refresh();
    }
  }

  #record(credentials: Credentials, change: (state: OpenOrders) => OpenOrders): void {
    if (this.#isStill(credentials)) this.openOrders.update(change);
  }

  #isStill(credentials: Credentials): boolean {
    return this.session.get()?.credentials === credentials;
  }

  #credentials(): Credentials {
    const session = this.session.get();
    if (session === null) throw new Failure("refused", "UNAUTHORIZED", "sign in first");
    return session.credentials;
  }
}
