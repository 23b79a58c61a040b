// What the account owns: available, held by open orders, and both together.
import { addDecimals, trimmedText } from "../format/decimal";
import { grouped } from "../format/readable";
import type { Account } from "../store/account";
import type { Balance, Market } from "../store/vocabulary";
import { FaucetRow } from "./FaucetRow";
import { useCell } from "./use_cell";

interface Props {
  readonly account: Account;
  readonly market: Market;
}

export function BalancesPanel({ account, market }: Props) {
  const session = useCell(account.session);
  const balances = useCell(account.holdings.balances);
  if (session === null) return null;
  return (
    <section className="panel balances" data-testid="balances" aria-label="Balances">
      <header>
        <h2>Balances</h2>
      </header>
      <table>
        <thead>
          <tr>
            <th scope="col">Asset</th>
            <th scope="col">Available</th>
            <th scope="col">In orders</th>
            <th scope="col">Total</th>
          </tr>
        </thead>
        <tbody>
          {(balances ?? []).map((balance) => (
            <BalanceRow key={balance.asset} balance={balance} market={market} />
          ))}
        </tbody>
      </table>
      {balances === null && <p className="quiet none">Loading…</p>}
      {balances?.length === 0 && <p className="quiet none">Nothing here yet.</p>}
      <FaucetRow account={account} market={market} />
    </section>
  );
}

function BalanceRow({ balance, market }: { readonly balance: Balance; readonly market: Market }) {
  const { asset, available, locked } = balance;
  const traded = asset === market.baseSymbol || asset === market.quoteSymbol;
  return (
    <tr className={traded ? "traded" : ""} data-asset={asset}>
      <th scope="row">{asset}</th>
      <td data-testid={`available-${asset}`}>{grouped(trimmedText(available))}</td>
      <td data-testid={`locked-${asset}`}>{grouped(trimmedText(locked))}</td>
      <td>{grouped(trimmedText(addDecimals(available, locked)))}</td>
    </tr>
  );
}
