// Not part of the page: an exchange that tests play, and the whole page opened on it.
import { act, render, screen } from "@testing-library/react";
import userEvent, { type UserEvent } from "@testing-library/user-event";
import { expect, vi } from "vitest";
import { buildExchange } from "./build";
import { App } from "./view/App";

export const API_KEY = "A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=";
export const SECRET = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

export type Answer = { readonly status?: number; readonly body: unknown };
export type Routes = Record<string, (body: Record<string, unknown>) => Answer>;

export const ok = (body: unknown): Answer => ({ body });
export const refuse = (status: number, code: string, message: string): Answer => ({
  status,
  body: { code, message },
});

const market = (symbol: string, tickSize: string, stepSize: string) => ({
  symbol,
  baseSymbol: symbol.split("_")[0],
  quoteSymbol: symbol.split("_")[1],
  marketType: "SPOT",
  filters: {
    price: { minPrice: tickSize, maxPrice: null, tickSize },
    quantity: { minQuantity: stepSize, maxQuantity: null, stepSize },
  },
  orderBookState: "Open",
  visible: true,
});

export const order = (changes: Record<string, unknown>) => ({
  orderType: "Limit",
  id: "4200000001",
  clientId: 7,
  symbol: "SOL_USDC",
  side: "Bid",
  timeInForce: "GTC",
  status: "New",
  createdAt: 1735689600123,
  executedQuantity: "0.000",
  executedQuoteQuantity: "0",
  quantity: "1.250",
  price: "20.50",
  postOnly: false,
  fills: [],
  ...changes,
});

const ROUTES: Routes = {
  "GET /web/config.json": () => ok({ wsUrl: "ws://stream" }),
  "GET /api/v1/markets": () =>
    ok([market("SOL_USDC", "0.01", "0.001"), market("BTC_USDC", "0.1", "0.00001")]),
  "GET /api/v1/depth": () =>
    ok({
      asks: [["20.53", "4.000"]],
      bids: [
        ["20.40", "1"],
        ["20.50", "2.5"],
      ],
      lastUpdateId: "10",
    }),
  "GET /api/v1/trades": () =>
    ok([{ id: 3, price: "20.51", quantity: "0.7", timestamp: 1735689600123, isBuyerMaker: true }]),
  "GET /api/v1/ticker": () => refuse(503, "MAINTENANCE", "engine away"),
  "GET /api/v1/klines": () =>
    ok([
      {
        start: "2025-01-01 00:00:00",
        end: "2025-01-01 00:01:00",
        open: "20.00",
        high: "20.60",
        low: "19.90",
        close: "20.50",
        volume: "7.000",
        quoteVolume: "143.5",
        trades: "3",
      },
    ]),
  "GET /api/v1/time": () => ok(1735689600123),
  "GET /api/v1/capital": () => ok({ USDC: { available: "1000.50", locked: "20", staked: "0" } }),
  "GET /api/v1/orders": () => ok([]),
};

export class PlayedSocket {
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: string }) => void) | null = null;
  onclose: ((event?: { code: number; reason: string }) => void) | null = null;
  readonly sent: string[] = [];
  send(text: string): void {
    this.sent.push(text);
  }
  close(): void {}
  push(stream: string, data: unknown): void {
    act(() => this.onmessage?.({ data: JSON.stringify({ stream, data }) }));
  }
}

const stops: (() => void)[] = [];

/** Ends what the pages of a test left running. */
export function closePages(): void {
  for (const stop of stops.splice(0)) stop();
}

/** Opens the page on a played exchange; `routes` stand over the usual answers. */
export async function openPage(routes: Routes = {}, storage: Storage | null = null) {
  const sockets: PlayedSocket[] = [];
  const requests: string[] = [];
  const exchange = buildExchange({
    origin: "http://exchange",
    fetch: async (url, init) => {
      const name = `${init.method} ${new URL(url).pathname}`;
      const body = typeof init.body === "string" ? init.body : "";
      requests.push(`${name} ${body}`.trim());
      const route = routes[name] ?? ROUTES[name];
      const answer = route?.(body === "" ? {} : JSON.parse(body)) ?? refuse(404, "X", name);
      return new Response(JSON.stringify(answer.body), { status: answer.status ?? 200 });
    },
    connect: () => {
      const socket = new PlayedSocket();
      sockets.push(socket);
      return socket as unknown as WebSocket;
    },
    storage,
    isVisible: () => false,
    nowMs: () => 1735689600000,
    random: () => 0.5,
    randomU32: () => 7,
    symbol: null,
  });
  stops.push(() => exchange.stop());
  const user = userEvent.setup();
  render(<App exchange={exchange} />);
  exchange.start();
  await vi.waitFor(() => expect(sockets).toHaveLength(1));
  act(() => sockets[0]?.onopen?.());
  const socket = sockets[0] ?? new PlayedSocket();
  return { exchange, user, requests, socket, sockets };
}

export async function signIn(user: UserEvent): Promise<void> {
  await user.click(await screen.findByRole("radio", { name: "With a key" }));
  await user.type(await screen.findByLabelText("API key"), API_KEY);
  await user.type(screen.getByLabelText("Secret"), SECRET);
  await user.click(screen.getByRole("button", { name: "Sign in" }));
  await screen.findByTestId("signed-in-key");
}
