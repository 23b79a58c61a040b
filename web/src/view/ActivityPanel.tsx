// What the account has open and what it traded, in all markets; whether that is live; and what its
// waiting orders did.
import { useState } from "react";
import type { Account } from "../store/account";
import { Choice } from "./Choice";
import { FailureNote } from "./FailureNote";
import { FillsTable } from "./FillsTable";
import { NoticeList } from "./NoticeList";
import { OpenOrdersTable } from "./OpenOrdersTable";
import { useCell } from "./use_cell";

export function ActivityPanel({ account }: { readonly account: Account }) {
  const session = useCell(account.session);
  const orders = useCell(account.holdings.openOrders);
  const fills = useCell(account.holdings.fills);
  const stale = useCell(account.refreshFailure);
  const [shown, setShown] = useState<"orders" | "fills">("orders");
  const counted = (name: string, count: number) => (session === null ? name : `${name} ${count}`);
  return (
    <section className="panel orders" data-testid="activity" aria-label="Orders and fills">
      <header>
        <h2 className="hidden">Orders and fills</h2>
        <Choice
          legend="What to show"
          value={shown}
          options={[
            ["orders", counted("Open orders", orders.length)],
            ["fills", counted("Fills", fills.length)],
          ]}
          onChange={setShown}
        />
        {session !== null && <LiveMark account={account} />}
      </header>
      {session !== null && <NoticeList holdings={account.holdings} />}
      {session !== null && stale !== null && (
        <FailureNote code={stale.code} message={`Not up to date: ${stale.message}`} />
      )}
      {session === null && <p className="quiet none">Sign in to see your orders.</p>}
      {session !== null &&
        (shown === "orders" ? (
          <OpenOrdersTable account={account} orders={orders} />
        ) : (
          <FillsTable account={account} fills={fills} />
        ))}
    </section>
  );
}

/** Whether orders, fills and balances follow the exchange, or are asked for now and then. */
function LiveMark({ account }: { readonly account: Account }) {
  const live = useCell(account.streams.live);
  const text = {
    off: "",
    starting: "Not live yet",
    live: "Live",
    refused: "Live updates are off; asking every few seconds",
  }[live.phase];
  return (
    <span
      className="live-mark"
      role="status"
      aria-label="Account updates"
      data-testid="account-live"
      data-phase={live.phase}
      title={live.phase === "refused" ? `The exchange said: ${live.message}` : undefined}
    >
      {text}
    </span>
  );
}
