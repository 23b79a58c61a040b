// Whether what the page shows is of this moment, in one word, always in sight.
import type { Exchange } from "../store/exchange";
import type { ConnectionState } from "../store/vocabulary";
import { useCell } from "./use_cell";

function words(state: ConnectionState): string {
  switch (state.phase) {
    case "open":
      return "Live";
    case "connecting":
      return state.attempt === 0 ? "Connecting…" : "Reconnecting…";
    case "waiting":
      return "Disconnected";
    case "closed":
      return "Closed";
  }
}

export function ConnectionBadge({ exchange }: { readonly exchange: Exchange }) {
  const state = useCell(exchange.connection);
  return (
    <div className="connection" data-phase={state.phase}>
      <span role="status" aria-label="Connection" data-testid="connection">
        {words(state)}
      </span>
      {state.phase === "waiting" && (
        <button type="button" className="small" onClick={() => exchange.reconnect()}>
          Retry now
        </button>
      )}
    </div>
  );
}
