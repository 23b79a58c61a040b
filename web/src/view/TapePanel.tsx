// The newest trades, coloured by the taker's side.
import { memo } from "react";
import { amountText, priceText } from "../format/decimal";
import { grouped, timeOfDay } from "../format/readable";
import type { MarketFeed } from "../store/market_feed";
import type { Market, PublicTrade } from "../store/vocabulary";
import { useCell } from "./use_cell";

const ROWS_MAX = 60;

export function TapePanel({ feed }: { readonly feed: MarketFeed }) {
  const tape = useCell(feed.tape);
  const { market } = feed;
  return (
    <section className="panel tape" data-testid="tape" aria-label="Trades">
      <header>
        <h2>Trades</h2>
      </header>
      <div className="scroll">
        <table>
          <thead>
            <tr>
              <th scope="col">Price {market.quoteSymbol}</th>
              <th scope="col">Amount {market.baseSymbol}</th>
              <th scope="col">Time</th>
            </tr>
          </thead>
          <tbody>
            {tape.slice(0, ROWS_MAX).map((trade) => (
              <TradeRow key={trade.id} trade={trade} market={market} />
            ))}
          </tbody>
        </table>
        {tape.length === 0 && <p className="quiet none">No trades yet.</p>}
      </div>
    </section>
  );
}

interface RowProps {
  readonly trade: PublicTrade;
  readonly market: Market;
}

const TradeRow = memo(function TradeRow({ trade, market }: RowProps) {
  const bought = trade.takerSide === "Bid";
  return (
    <tr data-trade={trade.id} title={`Trade ${trade.id}, ${bought ? "bought" : "sold"}`}>
      <td className={bought ? "up" : "down"}>{grouped(priceText(trade.price, market))}</td>
      <td>{grouped(amountText(trade.amount, market))}</td>
      <td className="quiet">{timeOfDay(trade.timeMs)}</td>
    </tr>
  );
});
