// The page: a bar with market, ticker and connection; book, trades and order ticket; the account's
// orders and balances. Knows the stores, nothing of the network.
import { useEffect, useState } from "react";
import { priceText } from "../format/decimal";
import type { Exchange } from "../store/exchange";
import type { MarketFeed } from "../store/market_feed";
import { EMPTY_DRAFT, type OrderDraft } from "../store/order_form";
import { ActivityPanel } from "./ActivityPanel";
import { ApiKeysPanel } from "./ApiKeysPanel";
import { BalancesPanel } from "./BalancesPanel";
import { BookPanel } from "./BookPanel";
import { ChartPanel } from "./ChartPanel";
import { ConnectionBadge } from "./ConnectionBadge";
import { FailureNote } from "./FailureNote";
import { MarketSelect } from "./MarketSelect";
import { OrderTicket } from "./OrderTicket";
import { SignInPanel } from "./SignInPanel";
import { TapePanel } from "./TapePanel";
import { TickerBar } from "./TickerBar";
import { useCell } from "./use_cell";

export function App({ exchange }: { readonly exchange: Exchange }) {
  const feed = useCell(exchange.feed);
  return (
    <div className="page">
      <header className="bar">
        <h1 className="brand">Exchange</h1>
        <MarketSelect exchange={exchange} />
        {feed !== null && <TickerBar feed={feed} />}
        <ConnectionBadge exchange={exchange} />
      </header>
      {feed === null ? (
        <Waiting exchange={exchange} />
      ) : (
        <Desk key={feed.market.symbol} exchange={exchange} feed={feed} />
      )}
    </div>
  );
}

function Waiting({ exchange }: { readonly exchange: Exchange }) {
  const state = useCell(exchange.markets);
  const failure = state.phase === "loading" ? state.failure : null;
  return (
    <main className="waiting" data-testid="waiting">
      {state.phase === "ready" && <p>No market is listed.</p>}
      {state.phase === "loading" && failure === null && <p>Loading markets…</p>}
      {failure !== null && (
        <>
          <FailureNote code={failure.code} message={failure.message} />
          <p className="quiet">Trying again by itself; nothing needs to be done.</p>
        </>
      )}
    </main>
  );
}

function Desk({ exchange, feed }: { readonly exchange: Exchange; readonly feed: MarketFeed }) {
  const { market } = feed;
  const [draft, setDraft] = useState<OrderDraft>(EMPTY_DRAFT);
  useTitle(feed);
  return (
    <main className="desk">
      <ChartPanel feed={feed} />
      <BookPanel
        feed={feed}
        onPrice={(price) =>
          setDraft((present) => ({
            ...present,
            orderType: "Limit",
            price: priceText(price, market),
          }))
        }
      />
      <TapePanel feed={feed} />
      <div className="side">
        <SignInPanel account={exchange.account} />
        <OrderTicket
          account={exchange.account}
          market={market}
          draft={draft}
          onDraft={(change) => setDraft((present) => ({ ...present, ...change }))}
        />
        <BalancesPanel account={exchange.account} market={market} />
        <ApiKeysPanel account={exchange.account} apiKeys={exchange.apiKeys} />
      </div>
      <ActivityPanel account={exchange.account} />
    </main>
  );
}

/** The last price in the tab's title, as traders keep many tabs. */
function useTitle(feed: MarketFeed): void {
  const ticker = useCell(feed.ticker);
  const name = feed.market.symbol.replace("_", "/");
  const price = ticker !== null && ticker.last > 0n ? priceText(ticker.last, feed.market) : null;
  useEffect(() => {
    document.title = price === null ? `${name} · Exchange` : `${price} ${name} · Exchange`;
  }, [price, name]);
}
