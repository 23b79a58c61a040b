// Starts the page in a real browser.
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { buildExchange } from "./build";
import type { Exchange } from "./store/exchange";
import { App } from "./view/App";
import "./view/styles.css";
import "./view/controls.css";
import "./view/narrow.css";

/** Null where the browser denies it, as some do to private windows. */
function sessionStorageOrNull(): Storage | null {
  try {
    return window.sessionStorage;
  } catch {
    return null;
  }
}

function symbolInAddressBar(): string {
  return window.location.hash.slice(1);
}

/** The selected market stands behind `#`, so that a reload and a shared link keep it. */
function followAddressBar(exchange: Exchange): void {
  exchange.feed.subscribe(() => {
    const symbol = exchange.feed.get()?.market.symbol;
    if (symbol !== undefined) window.history.replaceState(null, "", `#${symbol}`);
  });
  window.addEventListener("hashchange", () => exchange.select(symbolInAddressBar()));
}

const exchange = buildExchange({
  origin: window.location.origin,
  fetch: (url, init) => window.fetch(url, init),
  connect: (url) => new WebSocket(url),
  storage: sessionStorageOrNull(),
  isVisible: () => document.visibilityState === "visible",
  nowMs: () => Date.now(),
  random: Math.random,
  randomU32: () => crypto.getRandomValues(new Uint32Array(1))[0] ?? 0,
  symbol: symbolInAddressBar() || null,
});
followAddressBar(exchange);
window.addEventListener("online", () => exchange.reconnect());
exchange.start();

const root = document.getElementById("root");
if (root === null) throw new Error("Invariant: index.html has a #root");
createRoot(root).render(
  <StrictMode>
    <App exchange={exchange} />
  </StrictMode>,
);
