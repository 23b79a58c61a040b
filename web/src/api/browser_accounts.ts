// The exchange's paths for its own page: signing up, in and out, the account's API keys, and demo
// funds.
import type { BrowserSession } from "./access";
import { flag, integer, list, members, optionalText, text, wrong } from "./decode";
import type { RestClient } from "./rest";

export interface ApiKey {
  readonly publicKey: string;
  readonly label: string;
  readonly readOnly: boolean;
  readonly allowedAddresses: readonly string[];
  readonly createdAtMs: number;
}

/** The server keeps no secret: this is the only time it can be seen. */
export interface NewApiKey extends ApiKey {
  readonly secret: string;
}

export interface WantedKey {
  readonly label: string;
  readonly readOnly: boolean;
  readonly allowedAddresses: readonly string[];
}

export class BrowserAccounts {
  readonly #rest: RestClient;

  constructor(rest: RestClient) {
    this.#rest = rest;
  }

  async enter(how: "login" | "signup", email: string, password: string): Promise<BrowserSession> {
    const parameters = { email, password };
    const path = `/auth/v1/${how}`;
    return decodeSession(await this.#rest.json({ method: "POST", path, parameters }));
  }

  /** The session of the cookie that this browser has, if it has one. */
  async me(): Promise<BrowserSession> {
    return decodeSession(await this.#rest.json({ method: "GET", path: "/auth/v1/me" }));
  }

  async leave(session: BrowserSession): Promise<void> {
    await this.#rest.json({ method: "POST", path: "/auth/v1/logout", session });
  }

  async keys(session: BrowserSession): Promise<readonly ApiKey[]> {
    const answer = await this.#rest.json({ method: "GET", path: "/auth/v1/keys", session });
    return list(answer, "keys", decodeKey);
  }

  async addKey(wanted: WantedKey, session: BrowserSession): Promise<NewApiKey> {
    const request = { method: "POST", path: "/auth/v1/keys", body: wanted, session } as const;
    const answer = await this.#rest.json(request);
    return { ...decodeKey(answer), secret: text(members(answer, "key"), "secret") };
  }

  async revokeKey(publicKey: string, session: BrowserSession): Promise<void> {
    const parameters = { publicKey };
    await this.#rest.json({ method: "DELETE", path: "/auth/v1/keys", parameters, session });
  }

  async askFaucet(symbol: string, session: BrowserSession): Promise<void> {
    const parameters = { symbol };
    await this.#rest.json({ method: "POST", path: "/auth/v1/faucet", parameters, session });
  }
}

function decodeSession(value: unknown): BrowserSession {
  const from = members(value, "session");
  return {
    accountId: text(from, "accountId"),
    email: text(from, "email"),
    csrfToken: text(from, "csrfToken"),
  };
}

function decodeKey(value: unknown): ApiKey {
  const from = members(value, "key");
  return {
    publicKey: text(from, "publicKey"),
    label: optionalText(from, "label") ?? "",
    readOnly: flag(from, "readOnly"),
    allowedAddresses: list(from["allowedAddresses"], "allowedAddresses", (address) => {
      if (typeof address !== "string") throw wrong("allowedAddresses", "strings");
      return address;
    }),
    createdAtMs: integer(from, "createdAt"),
  };
}
