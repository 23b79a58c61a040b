// The account's API keys, for programs that trade on its behalf: list, create, revoke. A new secret
// is shown once. Only who signed in with a password sees this: a key manages no keys.
import { useEffect, useState, type FormEvent } from "react";
import type { Account } from "../store/account";
import type { ApiKeys } from "../store/api_keys";
import { isSession, type ApiKey, type NewApiKey } from "../store/vocabulary";
import { FailureNote } from "./FailureNote";
import { useCell } from "./use_cell";

interface Props {
  readonly account: Account;
  readonly apiKeys: ApiKeys;
}

export function ApiKeysPanel({ account, apiKeys }: Props) {
  const credentials = useCell(account.session)?.credentials ?? null;
  const session = credentials !== null && isSession(credentials) ? credentials : null;
  const keys = useCell(apiKeys.keys);
  const created = useCell(apiKeys.created);
  const failure = useCell(apiKeys.failure);
  useEffect(() => void apiKeys.show(session), [apiKeys, session]);
  if (session === null) return null;
  return (
    <section className="panel api-keys" aria-label="API keys" data-testid="api-keys">
      <header>
        <h2>API keys</h2>
      </header>
      {created !== null && <NewKeyNote created={created} onDone={() => apiKeys.putAway()} />}
      <ul>
        {(keys ?? []).map((key) => (
          <KeyRow key={key.publicKey} apiKey={key} apiKeys={apiKeys} />
        ))}
      </ul>
      {keys?.length === 0 && <p className="quiet none">No keys yet.</p>}
      {failure !== null && <FailureNote code={failure.code} message={failure.message} />}
      <NewKeyForm apiKeys={apiKeys} />
    </section>
  );
}

function KeyRow({ apiKey, apiKeys }: { readonly apiKey: ApiKey; readonly apiKeys: ApiKeys }) {
  const [busy, setBusy] = useState(false);
  const limits = [
    ...(apiKey.readOnly ? ["read only"] : []),
    ...(apiKey.allowedAddresses.length > 0 ? [`from ${apiKey.allowedAddresses.join(", ")}`] : []),
  ];

  async function revoke(): Promise<void> {
    setBusy(true);
    await apiKeys.revoke(apiKey.publicKey);
    setBusy(false);
  }

  return (
    <li>
      <span>
        {apiKey.label === "" ? "Unnamed" : apiKey.label} <code>{apiKey.publicKey.slice(0, 8)}…</code>
        {limits.length > 0 && <span className="quiet"> {limits.join(", ")}</span>}
      </span>
      <button
        type="button"
        className="small"
        disabled={busy}
        aria-label={`Revoke ${apiKey.label} ${apiKey.publicKey.slice(0, 8)}`}
        onClick={() => void revoke()}
      >
        Revoke
      </button>
    </li>
  );
}

function NewKeyNote(props: { readonly created: NewApiKey; readonly onDone: () => void }) {
  const { created, onDone } = props;
  return (
    <div className="new-key" role="status">
      <p>Put the secret away now: it is shown this once.</p>
      <dl>
        <dt>API key</dt>
        <dd>
          <code data-testid="new-public-key">{created.publicKey}</code>
        </dd>
        <dt>Secret</dt>
        <dd>
          <code data-testid="new-secret">{created.secret}</code>
        </dd>
      </dl>
      <button type="button" className="small" onClick={onDone}>
        I have it
      </button>
    </div>
  );
}

function NewKeyForm({ apiKeys }: { readonly apiKeys: ApiKeys }) {
  const [label, setLabel] = useState("");
  const [addresses, setAddresses] = useState("");
  const [readOnly, setReadOnly] = useState(false);
  const [busy, setBusy] = useState(false);

  async function submit(event: FormEvent): Promise<void> {
    event.preventDefault();
    setBusy(true);
    const allowedAddresses = addresses.split(/[\s,]+/).filter((address) => address !== "");
    await apiKeys.add({ label: label.trim(), readOnly, allowedAddresses });
    if (apiKeys.failure.get() === null) {
      setLabel("");
      setAddresses("");
    }
    setBusy(false);
  }

  return (
    <form onSubmit={(event) => void submit(event)}>
      <label>
        Name of a new key
        <input value={label} maxLength={200} onChange={(event) => setLabel(event.target.value)} />
      </label>
      <label>
        Only from these IP addresses
        <input
          value={addresses}
          onChange={(event) => setAddresses(event.target.value)}
          placeholder="any"
          autoComplete="off"
          spellCheck={false}
        />
      </label>
      <label className="tick">
        <input
          type="checkbox"
          checked={readOnly}
          onChange={(event) => setReadOnly(event.target.checked)}
        />
        Read only
      </label>
      <button type="submit" disabled={busy || label.trim() === ""}>
        Create key
      </button>
    </form>
  );
}
