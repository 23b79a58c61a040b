// The newest trades of the account's own orders, in all markets.
import { memo } from "react";
import { grouped, timeOfDay } from "../format/readable";
import type { Account } from "../store/account";
import { fillKey, type OwnFills } from "../store/own_fills";
import type { OwnFill } from "../store/vocabulary";
import { FailureNote } from "./FailureNote";
import { useCell } from "./use_cell";

interface Props {
  readonly account: Account;
  readonly fills: OwnFills;
}

export function FillsTable({ account, fills }: Props) {
  const failure = useCell(account.fillsFailure);
  return (
    <>
      {failure !== null && (
        <FailureNote
          code={failure.code}
          message={`Only fills since the page was opened: ${failure.message}`}
        />
      )}
      {fills.length === 0 && <p className="quiet none">No fills yet.</p>}
      {fills.length > 0 && (
        <div className="scroll">
          <table data-testid="own-fills">
            <thead>
              <tr>
                <th scope="col">Time</th>
                <th scope="col">Market</th>
                <th scope="col">Side</th>
                <th scope="col">As</th>
                <th scope="col">Price</th>
                <th scope="col">Quantity</th>
                <th scope="col">Fee</th>
                <th scope="col">Order</th>
              </tr>
            </thead>
            <tbody>
              {fills.map((fill) => (
                <FillRow key={fillKey(fill)} fill={fill} />
              ))}
            </tbody>
          </table>
        </div>
      )}
    </>
  );
}

const FillRow = memo(function FillRow({ fill }: { readonly fill: OwnFill }) {
  const bought = fill.side === "Bid";
  return (
    <tr data-trade={fill.tradeId}>
      <td className="quiet">{timeOfDay(fill.timeMs)}</td>
      <td>{fill.symbol.replace("_", "/")}</td>
      <td className={bought ? "up" : "down"}>{bought ? "Bought" : "Sold"}</td>
      <td>{fill.isMaker ? "Maker" : "Taker"}</td>
      <td>{grouped(fill.price)}</td>
      <td>{grouped(fill.quantity)}</td>
      <td>
        {fill.fee} <small>{fill.feeSymbol}</small>
      </td>
      <td className="quiet">{fill.orderId}</td>
    </tr>
  );
});
