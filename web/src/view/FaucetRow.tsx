// Demo funds of the selected market's two assets, where the exchange gives any.
import { useState } from "react";
import type { Account } from "../store/account";
import { Failure, isSession, type Market } from "../store/vocabulary";
import { FailureNote } from "./FailureNote";
import { useCell } from "./use_cell";

interface Props {
  readonly account: Account;
  readonly market: Market;
}

export function FaucetRow({ account, market }: Props) {
  const session = useCell(account.session);
  const faucetOn = useCell(account.faucetOn);
  const [busy, setBusy] = useState(false);
  const [failure, setFailure] = useState<Failure | null>(null);
  if (!faucetOn || session === null || !isSession(session.credentials)) return null;

  async function ask(symbol: string): Promise<void> {
    setBusy(true);
    try {
      await account.askFaucet(symbol);
      setFailure(null);
    } catch (error) {
      setFailure(Failure.from(error));
    }
    setBusy(false);
  }

  return (
    <div className="faucet">
      <span className="quiet">Demo funds, once a day:</span>
      {[market.baseSymbol, market.quoteSymbol].map((symbol) => (
        <button
          key={symbol}
          type="button"
          className="small"
          disabled={busy}
          onClick={() => void ask(symbol)}
        >
          Get {symbol}
        </button>
      ))}
      {failure !== null && <FailureNote code={failure.code} message={failure.message} />}
    </div>
  );
}
