// The order ticket: a draft is checked against the market's filters while it is written, sent
// signed, and its outcome shown in place.
import { useId, useState, type FormEvent, type ReactNode } from "react";
import { affordableLots, amountText, shareText, ticksFromText } from "../format/decimal";
import { grouped } from "../format/readable";
import type { Account } from "../store/account";
import {
  canBePostOnly,
  checkDraft,
  draftTotal,
  isByQuote,
  type DraftField,
  type DraftProblem,
  type OrderDraft,
} from "../store/order_form";
import { Failure, type Balance, type Market, type TimeInForce } from "../store/vocabulary";
import { Choice } from "./Choice";
import { FailureNote } from "./FailureNote";
import { OrderOutcome, type Outcome } from "./OrderOutcome";
import { useCell } from "./use_cell";

interface Props {
  readonly account: Account;
  readonly market: Market;
  readonly draft: OrderDraft;
  readonly onDraft: (change: Partial<OrderDraft>) => void;
}

export function OrderTicket({ account, market, draft, onDraft }: Props) {
  const session = useCell(account.session);
  const balances = useCell(account.holdings.balances);
  const [tried, setTried] = useState(false);
  const [busy, setBusy] = useState(false);
  const [outcome, setOutcome] = useState<Outcome | null>(null);
  const check = checkDraft(draft, market);
  const problems = check.ok ? [] : check.problems.filter((each) => tried || isWritten(draft, each));
  const problemOf = (field: DraftField) => problems.find((each) => each.field === field);
  const byQuote = isByQuote(draft);
  const buying = draft.side === "Bid";
  const total = draftTotal(draft, market);

  async function submit(event: FormEvent): Promise<void> {
    event.preventDefault();
    setTried(true);
    setOutcome(null);
    if (!check.ok || session === null || busy) return;
    setBusy(true);
    try {
      const order = await account.place(check.order);
      setOutcome({ kind: "placed", order });
      setTried(false);
      onDraft({ quantity: "", quoteQuantity: "" });
    } catch (error) {
      setOutcome({ kind: "failed", failure: Failure.from(error) });
    } finally {
      setBusy(false);
    }
  }

  const formProblem = problemOf("form");
  return (
    <section className="panel ticket" data-side={draft.side} aria-label="Order">
      <form onSubmit={(event) => void submit(event)} noValidate aria-label="Place order">
        <Choice
          legend="Side"
          value={draft.side}
          options={[
            ["Bid", "Buy"],
            ["Ask", "Sell"],
          ]}
          onChange={(side) => onDraft({ side })}
        />
        <Choice
          legend="Order type"
          value={draft.orderType}
          options={[
            ["Limit", "Limit"],
            ["Market", "Market"],
          ]}
          onChange={(orderType) => onDraft({ orderType })}
        />
        {draft.orderType === "Limit" ? (
          <AmountField
            label="Price"
            unit={market.quoteSymbol}
            value={draft.price}
            problem={problemOf("price")}
            onChange={(price) => onDraft({ price })}
          />
        ) : (
          <Choice
            legend="Measured in"
            value={draft.measure}
            options={[
              ["base", `Amount in ${market.baseSymbol}`],
              ["quote", `Amount in ${market.quoteSymbol}`],
            ]}
            onChange={(measure) => onDraft({ measure })}
          />
        )}
        {byQuote ? (
          <AmountField
            label={buying ? "Spend at most" : "Receive at most"}
            unit={market.quoteSymbol}
            value={draft.quoteQuantity}
            problem={problemOf("quoteQuantity")}
            onChange={(quoteQuantity) => onDraft({ quoteQuantity })}
          />
        ) : (
          <AmountField
            label="Quantity"
            unit={market.baseSymbol}
            value={draft.quantity}
            problem={problemOf("quantity")}
            onChange={(quantity) => onDraft({ quantity })}
          />
        )}
        <Shares draft={draft} market={market} balances={balances} onDraft={onDraft} />
        {draft.orderType === "Limit" && <LimitTerms draft={draft} onDraft={onDraft} />}
        {draft.orderType === "Limit" && (
          <p className="total">
            <span>Total</span>
            <span data-testid="total">
              {total === null ? "—" : grouped(total)} {market.quoteSymbol}
            </span>
          </p>
        )}
        {formProblem && <FailureNote code={formProblem.code} message={formProblem.message} />}
        <button type="submit" className="send" disabled={busy || session === null}>
          {session === null
            ? "Sign in to trade"
            : busy
              ? "Sending…"
              : `${buying ? "Buy" : "Sell"} ${market.baseSymbol}`}
        </button>
      </form>
      {outcome !== null && <OrderOutcome outcome={outcome} market={market} />}
    </section>
  );
}

/** Problems of a field nobody has written in yet are no news. */
function isWritten(draft: OrderDraft, problem: DraftProblem): boolean {
  return problem.field === "form" || draft[problem.field] !== "";
}

interface AmountFieldProps {
  readonly label: string;
  readonly unit: string;
  readonly value: string;
  readonly problem: DraftProblem | undefined;
  readonly onChange: (value: string) => void;
}

function AmountField({ label, unit, value, problem, onChange }: AmountFieldProps): ReactNode {
  const id = useId();
  return (
    <div className="field">
      <label htmlFor={id}>{label}</label>
      <span className="with-unit">
        <input
          id={id}
          inputMode="decimal"
          autoComplete="off"
          value={value}
          aria-invalid={problem !== undefined}
          aria-describedby={problem === undefined ? undefined : `${id}-problem`}
          onChange={(event) => onChange(event.target.value.trim())}
        />
        <span aria-hidden="true">{unit}</span>
      </span>
      {problem && (
        <FailureNote id={`${id}-problem`} code={problem.code} message={problem.message} />
      )}
    </div>
  );
}

interface TermsProps {
  readonly draft: OrderDraft;
  readonly onDraft: (change: Partial<OrderDraft>) => void;
}

function LimitTerms({ draft, onDraft }: TermsProps): ReactNode {
  return (
    <div className="terms">
      <label>
        Time in force
        <select
          value={draft.timeInForce}
          onChange={(event) => onDraft({ timeInForce: event.target.value as TimeInForce })}
        >
          <option value="GTC">GTC · until cancelled</option>
          <option value="IOC">IOC · now or never, in part</option>
          <option value="FOK">FOK · all now or nothing</option>
        </select>
      </label>
      <label className="tick">
        <input
          type="checkbox"
          checked={draft.postOnly && canBePostOnly(draft)}
          disabled={!canBePostOnly(draft)}
          onChange={(event) => onDraft({ postOnly: event.target.checked })}
        />
        Post only
      </label>
    </div>
  );
}

interface SharesProps extends TermsProps {
  readonly market: Market;
  readonly balances: readonly Balance[] | null;
}

/** A quarter to all of what is available, cut to whole steps. */
function Shares({ draft, market, balances, onDraft }: SharesProps): ReactNode {
  const buying = draft.side === "Bid";
  const asset = buying ? market.quoteSymbol : market.baseSymbol;
  const available = balances?.find((balance) => balance.asset === asset)?.available;
  if (available === undefined) return null;

  function fill(percent: bigint): void {
    if (available === undefined) return;
    if (!buying) {
      onDraft({ measure: "base", quantity: shareText(available, percent, market.stepSize) });
    } else if (draft.orderType === "Market") {
      const quoteQuantity = shareText(available, percent, market.tickSize);
      onDraft({ measure: "quote", quoteQuantity });
    } else {
      const price = ticksFromText(draft.price, market);
      if (!price.ok || price.value <= 0n) return;
      const amount = affordableLots(available, percent, price.value, market);
      onDraft({ quantity: amountText(amount, market) });
    }
  }

  const needsPrice = buying && draft.orderType === "Limit" && draft.price === "";
  return (
    <div className="shares" role="group" aria-label={`Share of available ${asset}`}>
      {[25n, 50n, 75n, 100n].map((percent) => (
        <button
          key={percent.toString()}
          type="button"
          className="small"
          disabled={needsPrice}
          title={needsPrice ? "Enter a price first" : undefined}
          onClick={() => fill(percent)}
        >
          {percent.toString()} %
        </button>
      ))}
    </div>
  );
}
