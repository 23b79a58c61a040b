// What waiting orders did by themselves, until the user has read it.
import { grouped } from "../format/readable";
import type { Holdings } from "../store/holdings";
import type { Notice } from "../store/notices";
import { useCell } from "./use_cell";

export function NoticeList({ holdings }: { readonly holdings: Holdings }) {
  const notices = useCell(holdings.notices);
  return (
    <ul className="notices" role="status" aria-label="Waiting orders" data-testid="notices">
      {notices.map((notice) => (
        <li key={notice.order.id} data-kind={notice.kind}>
          <span>{sentence(notice)}</span>
          <button
            type="button"
            className="small"
            aria-label={`Put away notice of order ${notice.order.id}`}
            onClick={() => holdings.putAway(notice.order.id)}
          >
            OK
          </button>
        </li>
      ))}
    </ul>
  );
}

/** `INSUFFICIENT_FUNDS` → `insufficient funds`. */
function inWords(reason: string): string {
  return reason.toLowerCase().replaceAll("_", " ");
}

function sentence({ kind, order, reason }: Notice): string {
  const what = `${order.side === "Bid" ? "buy" : "sell"} ${order.symbol.replace("_", "/")}`;
  const at = order.triggerPrice === null ? "" : ` at ${grouped(order.triggerPrice)}`;
  const who = `Your waiting order to ${what}`;
  if (kind === "fired") return `${who} fired${at}: it is now an order like others.`;
  const why = reason === null ? "" : `: ${inWords(reason)}`;
  return `${who} fired${at} and was refused${why}.`;
}
