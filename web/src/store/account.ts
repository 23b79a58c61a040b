// Who is signed in, what they own and what they have resting. A key's secret stays in memory; it
// goes to the tab's session storage only when the user asked for that. A session is the cookie's,
// which no script can read.
import { isSession, type Access, type BrowserSession } from "../api/access";
import type { BrowserAccounts } from "../api/browser_accounts";
import { Failure } from "../api/failure";
import type { PlaceOrder, RestClient } from "../api/rest";
import { readCredentials, secretText } from "../api/signing";
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
  readonly credentials: Access;
}

export interface SignInProblem {
  readonly field: "apiKey" | "secret" | "email" | "password" | "form";
  readonly code: string;
  readonly message: string;
}

export interface AccountOptions {
  readonly rest: RestClient;
  readonly accounts: BrowserAccounts;
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
  /** Whether the exchange gives demo funds to those who ask. */
  readonly faucetOn = new Cell(false);

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

  /** Signs in, or up and in at once, with e-mail address and password; null when all is well. */
  async enter(
    how: "login" | "signup",
    email: string,
    password: string,
  ): Promise<SignInProblem | null> {
    try {
      this.#enter(await this.#options.accounts.enter(how, email.trim(), password));
      return null;
    } catch (error) {
      const { code, message } = Failure.from(error);
      const field = (["email", "password"] as const).find((name) => message.startsWith(`${name}:`));
      return { field: field ?? "form", code, message };
    }
  }

  /** Takes up the key the user chose to keep in this tab, or the session of this browser. */
  resume(): void {
    const kept = this.#options.storage?.getItem(STORAGE_KEY);
    if (kept === null || kept === undefined) {
      void this.#resumeSession();
      return;
    }
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

  /** Ends the session everywhere; null when it is over, else we are still signed in. */
  async signOut(): Promise<Failure | null> {
    const credentials = this.session.get()?.credentials;
    if (credentials !== undefined && isSession(credentials)) {
      try {
        await this.#options.accounts.leave(credentials);
      } catch (error) {
        const failure = Failure.from(error);
        if (failure.status !== 401) return failure;
      }
      if (!this.#isStill(credentials)) return null;
    }
    this.#forget();
    return null;
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

  /** Today's demo funds of an asset. Throws `Failure`. */
  async askFaucet(symbol: string): Promise<void> {
    const credentials = this.#credentials();
    if (!isSession(credentials)) return;
    await this.#acting(credentials, () => this.#options.accounts.askFaucet(symbol, credentials));
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
      if (!this.#isStill(credentials)) return;
      const failure = Failure.from(error);
      // The session has ended, here or elsewhere.
      if (isSession(credentials) && failure.status === 401) this.#forget();
      else this.refreshFailure.set(failure);
    }
  }

  async #resumeSession(): Promise<void> {
    let session: BrowserSession;
    try {
      session = await this.#options.accounts.me();
    } catch {
      // Nobody is signed in, or nothing answers: then the form is there to try.
      return;
    }
    if (this.session.get() === null) this.#enter(session);
  }

  #forget(): void {
    this.stop();
    this.#options.storage?.removeItem(STORAGE_KEY);
    this.session.set(null);
    this.balances.set(null);
    this.openOrders.set(NO_OPEN_ORDERS);
    this.refreshFailure.set(null);
  }

  #enter(credentials: Access): void {
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
  async #acting<T>(credentials: Access, action: () => Promise<T>): Promise<T> {
    try {
      return await action();
    } catch (error) {
      throw Failure.from(error);
    } finally {
      if (this.#isStill(credentials)) void this.refresh();
    }
  }

  #record(credentials: Access, change: (state: OpenOrders) => OpenOrders): void {
    if (this.#isStill(credentials)) this.openOrders.update(change);
  }

  #isStill(credentials: Access): boolean {
    return this.session.get()?.credentials === credentials;
  }

  #credentials(): Access {
    const session = this.session.get();
    if (session === null) throw new Failure("refused", "UNAUTHORIZED", "sign in first");
    return session.credentials;
  }
}
