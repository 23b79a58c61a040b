// The wish to leave nothing in the book unwatched. It holds for this page's connection, not for the
// account: whatever ends the connection has every open order cancelled.
import type { AccountStreams, CancelOnClose as State } from "../store/account_streams";
import { FailureNote } from "./FailureNote";
import { useCell } from "./use_cell";

export function CancelOnClose({ streams }: { readonly streams: AccountStreams }) {
  const state = useCell(streams.cancelOnClose);
  const live = useCell(streams.live);
  const isOn = state.phase !== "off" && state.phase !== "refused";
  return (
    <div className="cancel-on-close" data-testid="cancel-on-close" data-phase={state.phase}>
      <label className="tick">
        <input
          type="checkbox"
          checked={isOn}
          disabled={!isOn && live.phase !== "live"}
          onChange={(event) => streams.setCancelOnClose(event.target.checked)}
        />
        Cancel my orders when this page closes or loses its connection
      </label>
      {isOn && (
        <p className="quiet" role="status" aria-label="Cancelling on close">
          {words(state)}
        </p>
      )}
      {state.phase === "refused" && (
        <FailureNote
          code="4003"
          message="Not switched on: the exchange refused it, as it does to keys that may only read"
        />
      )}
    </div>
  );
}

function words({ phase }: State): string {
  switch (phase) {
    case "starting":
      return "Switching on…";
    case "lost":
      return "The connection was lost: the exchange cancels your open orders now.";
    default:
      return (
        "On. Reloading counts as closing. All open orders of the account are cancelled then, " +
        "waiting ones and those of other programs too."
      );
  }
}
