// Sign-in by API key and secret. The secret never leaves the browser: it only signs.
import { useState, type FormEvent } from "react";
import type { Account, SignInProblem } from "../store/account";
import { FailureNote } from "./FailureNote";
import { useCell } from "./use_cell";

export function SignInPanel({ account }: { readonly account: Account }) {
  const session = useCell(account.session);
  if (session === null) return <SignInForm account={account} />;
  return (
    <section className="panel signed-in" aria-label="Account">
      <span>
        Signed in as{" "}
        <code data-testid="signed-in-key">{session.credentials.apiKey.slice(0, 10)}…</code>
      </span>
      <button type="button" className="small" onClick={() => account.signOut()}>
        Sign out
      </button>
    </section>
  );
}

function SignInForm({ account }: { readonly account: Account }) {
  const [apiKey, setApiKey] = useState("");
  const [secret, setSecret] = useState("");
  const [keep, setKeep] = useState(false);
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<SignInProblem | null>(null);

  async function submit(event: FormEvent): Promise<void> {
    event.preventDefault();
    setBusy(true);
    setProblem(await account.signIn(apiKey, secret, keep));
    setBusy(false);
  }

  return (
    <section className="panel sign-in" aria-label="Sign in">
      <header>
        <h2>Sign in</h2>
      </header>
      <form onSubmit={(event) => void submit(event)}>
        <label>
          API key
          <input
            value={apiKey}
            onChange={(event) => setApiKey(event.target.value)}
            aria-invalid={problem?.field === "apiKey"}
            autoComplete="off"
            autoCapitalize="off"
            spellCheck={false}
            placeholder="base64 public key"
          />
        </label>
        <label>
          Secret
          <input
            type="password"
            value={secret}
            onChange={(event) => setSecret(event.target.value)}
            aria-invalid={problem?.field === "secret"}
            autoComplete="off"
            placeholder="base64 32-byte seed"
          />
        </label>
        <label className="tick">
          <input
            type="checkbox"
            checked={keep}
            onChange={(event) => setKeep(event.target.checked)}
          />
          Keep in this tab until it is closed
        </label>
        {problem !== null && <FailureNote code={problem.code} message={problem.message} />}
        <button type="submit" disabled={busy || apiKey === "" || secret === ""}>
          {busy ? "Checking…" : "Sign in"}
        </button>
        <p className="quiet">
          The secret stays in this page and only signs requests. <code>cargo xtask up</code> prints
          two demo accounts.
        </p>
      </form>
    </section>
  );
}
