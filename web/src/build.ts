// Puts the page together: network below, stores on it. Everything the browser gives comes in as an
// argument, so that a test can build the very page the user gets.
import { BrowserAccounts } from "./api/browser_accounts";
import { RestClient } from "./api/rest";
import { StreamSocket, type ConnectionState } from "./api/socket";
import { Account, type AccountOptions } from "./store/account";
import { ApiKeys } from "./store/api_keys";
import { Cell } from "./store/cell";
import { Exchange } from "./store/exchange";

export interface Browser {
  /** Scheme and host the page came from: REST lives there too. */
  readonly origin: string;
  readonly fetch: (url: string, init: RequestInit) => Promise<Response>;
  readonly connect: (url: string) => WebSocket;
  readonly storage: AccountOptions["storage"];
  readonly isVisible: () => boolean;
  readonly nowMs: () => number;
  /** In [0, 1). */
  readonly random: () => number;
  readonly randomU32: () => number;
  /** The market named in the address bar, if any. */
  readonly symbol: string | null;
}

const REST_DEADLINE_MS = 10_000;
const ACCOUNT_POLL_MS = 3000;
const ACCOUNT_RECONCILE_MS = 20_000;
const ACCOUNT_PUBLISH_MS = 50;

/** `http://host` → `ws://host/ws`, for a gateway that names no stream address. */
function sameHostStreamUrl(origin: string): string {
  return `${origin.replace(/^http/, "ws")}/ws`;
}

export function buildExchange(browser: Browser): Exchange {
  const { fetch, nowMs, random, randomU32, storage, isVisible, symbol } = browser;
  const rest = new RestClient({
    baseUrl: browser.origin,
    fetch,
    nowMs,
    deadlineMs: REST_DEADLINE_MS,
  });
  const accounts = new BrowserAccounts(rest);
  const connection = new Cell<ConnectionState>({ phase: "connecting", attempt: 0 });
  const socket = new StreamSocket({
    url: async () => {
      const { streamUrl, faucet } = await rest.webConfig();
      account.faucetOn.set(faucet);
      return streamUrl ?? sameHostStreamUrl(browser.origin);
    },
    connect: browser.connect,
    random,
    backoff: { firstMs: 500, mostMs: 15_000 },
    connectDeadlineMs: 10_000,
    wellAfterMs: 10_000,
    silenceMsMax: 10_000,
    onState: (state) => connection.set(state),
    onRefused: (code, message) => console.error("stream request refused", code, message),
  });
  const account = new Account({
    rest,
    accounts,
    socket,
    storage,
    random,
    randomU32,
    pollEveryMs: ACCOUNT_POLL_MS,
    reconcileEveryMs: ACCOUNT_RECONCILE_MS,
    publishEveryMs: ACCOUNT_PUBLISH_MS,
    isVisible,
  });
  const apiKeys = new ApiKeys(accounts);
  return new Exchange({ rest, socket, connection, account, apiKeys, random, symbol });
}
