// The rolling day of the selected market.
import type { ReactNode } from "react";
import { priceText } from "../format/decimal";
import { changePercent, grouped } from "../format/readable";
import type { MarketFeed } from "../store/market_feed";
import { useCell } from "./use_cell";

function Figure({ name, children }: { readonly name: string; readonly children: ReactNode }) {
  return (
    <div className="figure">
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

export function TickerBar({ feed }: { readonly feed: MarketFeed }) {
  const ticker = useCell(feed.ticker);
  const { market } = feed;
  if (ticker === null) return <dl className="ticker" data-testid="ticker" />;
  const price = (value: typeof ticker.last) =>
    value > 0n ? grouped(priceText(value, market)) : "—";
  const change = changePercent(ticker.first, ticker.last);
  const trend = ticker.last > ticker.first ? "up" : ticker.last < ticker.first ? "down" : "";
  return (
    <dl className="ticker" data-testid="ticker">
      <div className="figure last">
        <dt>Last</dt>
        <dd className={trend} data-testid="last-price">
          {price(ticker.last)}
        </dd>
      </div>
      <Figure name="24 h">
        <span className={trend}>{change ?? "—"}</span>
      </Figure>
      <Figure name="High">{price(ticker.high)}</Figure>
      <Figure name="Low">{price(ticker.low)}</Figure>
      <Figure name="Volume">
        {grouped(ticker.volume)} <small>{market.baseSymbol}</small>
      </Figure>
      <Figure name="Turnover">
        {grouped(ticker.quoteVolume)} <small>{market.quoteSymbol}</small>
      </Figure>
    </dl>
  );
}
