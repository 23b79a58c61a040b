// Which market the page shows. The choice also stands in the address bar (see main.tsx).
import type { Exchange } from "../store/exchange";
import { useCell } from "./use_cell";

export function MarketSelect({ exchange }: { readonly exchange: Exchange }) {
  const state = useCell(exchange.markets);
  const feed = useCell(exchange.feed);
  const markets = state.phase === "ready" ? state.markets : [];
  return (
    <label className="market-select">
      <span className="hidden">Market</span>
      <select
        value={feed?.market.symbol ?? ""}
        disabled={markets.length === 0}
        onChange={(event) => exchange.select(event.target.value)}
      >
        {markets.length === 0 && <option value="">—</option>}
        {markets.map((market) => (
          <option key={market.symbol} value={market.symbol}>
            {market.baseSymbol}/{market.quoteSymbol}
            {market.state === "Open" ? "" : ` · ${market.state}`}
          </option>
        ))}
      </select>
    </label>
  );
}
