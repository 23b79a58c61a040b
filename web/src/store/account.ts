// Who is signed in, and what they do. What they own and have open follows their private streams; a
// slow poll reconciles, a faster one stands in while there are no streams. A key's secret stays in
// memory; it goes to the tab's session storage only when the user asked for that. A session is the
// cookie's, which no script can read.
import { isSession, type Access, type BrowserSession } from "../api/access";
import type { BrowserAccounts } from "../api/browser_accounts";
import { Failure } from "../api/failure";
import type { PlaceOrder, RestClient } from "../api/rest";
import { readCredentials, secretText } from "../api/signing";
import type { StreamSocket } from "../api/socket";
import type { Order } from "../api/wire";
import { AccountStreams } from "./account_streams";
import { Cell } from "./cell";
import { Holdings } from "./holdings";
import { OWN_FILLS_MAX } from "./own_fills";

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
  readonly socket: StreamSocket;
  /** The tab's session storage; null where the browser denies it. */
  readonly storage: Pick<Storage, "getItem" | "setItem" | "removeItem"> | null;
  /** In [0, 1). */
  readonly random: () => number;
  readonly randomU32: () => number;
  /** While the streams do not speak, and while they do. */
  readonly pollEveryMs: number;
  readonly reconcileEveryMs: number;
  /** At most one change of what is shown in this time. */
  readonly publishEveryMs: number;
  /** Polls pause while nobody looks. */
  readonly isVisible: () => boolean;
}

const STORAGE_KEY = "exchange.credentials";
/** At most one fetch in this time because something was missed. */
const CATCH_UP_EVERY_MS = 1000;

export class Account {
  readonly session = new Cell<Session | null>(null);
  readonly holdings: Holdings;
  readonly streams: AccountStreams;
  /** Why the last refresh failed; what is shown is then older than it looks. */
  readonly refreshFailure = new Cell<Failure | null>(null);
  /** Why the fills of the past are not there. */
  readonly fillsFailure = new Cell<Failure | null>(null);
  /** Whether the exchange gives demo funds to those who ask. */
  readonly faucetOn = new Cell(false);

  readonly #options: AccountOptions;
  #pollTimer: ReturnType<typeof setTimeout> | undefined;
  #catchUpTimer: ReturnType<typeof setTimeout> | undefined;
  #missed = false;

  constructor(options: AccountOptions) {
    const { rest, socket, random, publishEveryMs } = options;
    this.#options = options;
    this.holdings = new Holdings(publishEveryMs);
    this.streams = new AccountStreams({
      socket,
      nowMs: () => rest.serverNowMs(),
      alignClock: () => rest.alignClock(),
      random,
      onOrder: (update) => this.holdings.orderUpdate(update),
      onBalance: (balance) => this.holdings.balanceUpdate(balance),
      onMissed: () => this.#catchUp(),
    });
    this.streams.live.subscribe(() => this.#pollLater());
    this.refreshFailure.subscribe(() => this.#pollLater());
  }

  /** Checks the pair with the exchange before calling anyone signed in; null when all is well. */
  async signIn(apiKey: string, secret: string, remember: boolean): Promise<SignInProblem | null> {
    const credentials = readCredentials(apiKey, secret);
    if ("message" in credentials) return { ...credentials, code: "INVALID_KEY" };
    const { rest, storage } = this.#options;
    try {
      await rest.alignClock();
      const balances = await rest.balances(credentials);
      this.#enter(credentials);
      this.holdings.balancesRead(balances);
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
    return null;
  }

  /** Signs in, or up and in at once, with e-mail address and password; null when all is well. */
  async enter(
    how: "login" | "signup",
    email: string,
    password: string,
  ): Promise<SignInProblem | null> {
    try {
      const session = await this.#options.accounts.enter(how, email.trim(), password);
      // The cookie came with this answer: the connection there is was made without it.
      this.#options.socket.renew();
      this.#enter(session);
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

  /** Ends the timers. */
  stop(): void {
    clearTimeout(this.#pollTimer);
    clearTimeout(this.#catchUpTimer);
    this.#catchUpTimer = undefined;
    this.#missed = false;
    this.streams.stop();
    this.holdings.stop();
  }

  /** The order as the exchange left it. Throws `Failure`. */
  async place(order: Omit<PlaceOrder, "clientId">): Promise<Order> {
    const credentials = this.#credentials();
    const clientId = this.#options.randomU32();
    return this.#acting(credentials, async () => {
      const placed = await this.#options.rest.place({ ...order, clientId }, credentials);
      if (this.#isStill(credentials)) this.holdings.outcomes([placed]);
      return placed;
    });
  }

  /** Throws `Failure`; an order that is already gone disappears from the list all the same. */
  async cancel(order: Order): Promise<void> {
    const credentials = this.#credentials();
    await this.#acting(credentials, async () => {
      try {
        const cancelled = await this.#options.rest.cancel(order.symbol, order.id, credentials);
        if (this.#isStill(credentials)) this.holdings.outcomes([cancelled]);
      } catch (error) {
        const isGone = Failure.from(error).code === "RESOURCE_NOT_FOUND";
        if (isGone && this.#isStill(credentials)) this.holdings.gone(order.id);
        throw error;
      }
    });
  }

  /** Every open order of the account, market by market. Throws the first `Failure`. */
  async cancelAll(): Promise<void> {
    const credentials = this.#credentials();
    const symbols = new Set(this.holdings.openOrders.get().map((order) => order.symbol));
    await this.#acting(credentials, async () => {
      for (const symbol of symbols) {
        const cancelled = await this.#options.rest.cancelAll(symbol, credentials);
        if (this.#isStill(credentials)) this.holdings.outcomes(cancelled);
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
    const askedAt = this.holdings.askedAt();
    void this.#readFills(credentials);
    try {
      const [balances, orders] = await Promise.all([
        rest.balances(credentials),
        rest.openOrders(credentials),
      ]);
      if (!this.#isStill(credentials)) return;
      this.holdings.polled(balances, orders, askedAt);
      this.refreshFailure.set(null);
    } catch (error) {
      if (!this.#isStill(credentials)) return;
      const failure = Failure.from(error);
      // The session has ended, here or elsewhere.
      if (isSession(credentials) && failure.status === 401) this.#forget();
      else this.refreshFailure.set(failure);
    }
  }

  /** Those of the past; a fill that the stream told is there without them. */
  async #readFills(credentials: Access): Promise<void> {
    try {
      const fills = await this.#options.rest.fills(OWN_FILLS_MAX, credentials);
      if (!this.#isStill(credentials)) return;
      this.holdings.pastFills(fills);
      this.fillsFailure.set(null);
    } catch (error) {
      if (this.#isStill(credentials)) this.fillsFailure.set(Failure.from(error));
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
    this.#options.storage?.removeItem(STORAGE_KEY);
    this.session.set(null);
    this.streams.end();
    this.stop();
    this.#forgetHoldings();
  }

  #forgetHoldings(): void {
    this.holdings.forget();
    this.refreshFailure.set(null);
    this.fillsFailure.set(null);
  }

  #enter(credentials: Access): void {
    this.stop();
    this.#forgetHoldings();
    this.session.set({ credentials });
    this.streams.begin(credentials);
    // With a connection the streams have asked for it already.
    if (this.#catchUpTimer === undefined) this.#catchUp();
    this.#pollLater();
  }

  /** Fetches all at once; asked again soon after, once more a little later. */
  #catchUp(): void {
    this.#missed = this.#catchUpTimer !== undefined;
    if (this.#missed) return;
    this.#catchUpTimer = setTimeout(() => {
      this.#catchUpTimer = undefined;
      if (this.#missed) this.#catchUp();
    }, CATCH_UP_EVERY_MS);
    void this.refresh();
  }

  #pollLater(): void {
    clearTimeout(this.#pollTimer);
    if (this.session.get() === null) return;
    const { pollEveryMs, reconcileEveryMs } = this.#options;
    const failure = this.refreshFailure.get();
    const everyMs = this.#isLive() && failure === null ? reconcileEveryMs : pollEveryMs;
    const pauseMs = Math.max(everyMs, failure?.retryAfterMs ?? 0);
    this.#pollTimer = setTimeout(() => {
      const refreshed = this.#options.isVisible() ? this.refresh() : Promise.resolve();
      void refreshed.then(() => this.#pollLater());
    }, pauseMs);
  }

  #isLive(): boolean {
    return this.streams.live.get().phase === "live";
  }

  /** Runs an action; fetches afterwards if it failed, or no stream tells what it did. */
  async #acting<T>(credentials: Access, action: () => Promise<T>): Promise<T> {
    let succeeded = false;
    try {
      const result = await action();
      succeeded = true;
      return result;
    } catch (error) {
      throw Failure.from(error);
    } finally {
      const isTold = succeeded && this.#isLive();
      if (this.#isStill(credentials) && !isTold) void this.refresh();
    }
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
