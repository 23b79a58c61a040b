// The API keys of whoever is signed in with a session. A new key's secret is held only until the
// user has put it away.
import type { BrowserSession } from "../api/access";
import type { ApiKey, BrowserAccounts, NewApiKey, WantedKey } from "../api/browser_accounts";
import { Failure } from "../api/failure";
import { Cell } from "./cell";

export class ApiKeys {
  /** Null until they have been read. */
  readonly keys = new Cell<readonly ApiKey[] | null>(null);
  readonly created = new Cell<NewApiKey | null>(null);
  /** Why the last thing asked for was not done. */
  readonly failure = new Cell<Failure | null>(null);

  readonly #accounts: BrowserAccounts;
  #session: BrowserSession | null = null;

  constructor(accounts: BrowserAccounts) {
    this.#accounts = accounts;
  }

  /** Of another session, or of none: what was known of the former is forgotten. */
  async show(session: BrowserSession | null): Promise<void> {
    if (this.#session === session) return;
    this.#session = session;
    this.keys.set(null);
    this.created.set(null);
    this.failure.set(null);
    await this.#doing((present) => this.#read(present));
  }

  async add(wanted: WantedKey): Promise<void> {
    await this.#doing(async (session) => {
      const created = await this.#accounts.addKey(wanted, session);
      if (this.#session === session) this.created.set(created);
      await this.#read(session);
    });
  }

  async revoke(publicKey: string): Promise<void> {
    await this.#doing(async (session) => {
      await this.#accounts.revokeKey(publicKey, session);
      if (this.created.get()?.publicKey === publicKey) this.created.set(null);
      await this.#read(session);
    });
  }

  /** The user has the secret. */
  putAway(): void {
    this.created.set(null);
  }

  async #read(session: BrowserSession): Promise<void> {
    const keys = await this.#accounts.keys(session);
    if (this.#session === session) this.keys.set(keys);
  }

  async #doing(what: (session: BrowserSession) => Promise<void>): Promise<void> {
    const session = this.#session;
    if (session === null) return;
    try {
      await what(session);
      if (this.#session === session) this.failure.set(null);
    } catch (error) {
      if (this.#session === session) this.failure.set(Failure.from(error));
    }
  }
}
