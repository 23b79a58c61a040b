// Sign-in: with e-mail address and password, or by API key and secret. The secret never leaves the
// browser: it only signs.
import { useState, type FormEvent } from "react";
import type { Account, SignInProblem } from "../store/account";
import { isSession, type Access, type Failure } from "../store/vocabulary";
import { CancelOnClose } from "./CancelOnClose";
import { Choice } from "./Choice";
import { FailureNote } from "./FailureNote";
import { PasswordForm } from "./PasswordForm";
import { useCell } from "./use_cell";

const WAYS = [
  ["password", "With e-mail"],
  ["key", "With a key"],
] as const;

export function SignInPanel({ account }: { readonly account: Account }) {
  const session = useCell(account.session);
  const [way, setWay] = useState<"password" | "key">("password");
  if (session !== null) return <SignedIn account={account} credentials={session.credentials} />;
  return (
    <section className="panel sign-in" aria-label="Sign in">
      <header>
        <h2>Sign in</h2>
      </header>
      <Choice legend="How to sign in" value={way} options={WAYS} onChange={setWay} />
      {way === "key" ? <KeyForm account={account} /> : <PasswordForm account={account} />}
    </section>
  );
}

function SignedIn(props: { readonly account: Account; readonly credentials: Access }) {
  const { account, credentials } = props;
  const [failure, setFailure] = useState<Failure | null>(null);
  return (
    <section className="panel signed-in" aria-label="Account">
      <div className="who">
        <span>
          Signed in as{" "}
          {isSession(credentials) ? (
            <span data-testid="signed-in-email">{credentials.email}</span>
          ) : (
            <code data-testid="signed-in-key">{credentials.apiKey.slice(0, 10)}…</code>
          )}
        </span>
        <button
          type="button"
          className="small"
          onClick={() => void account.signOut().then(setFailure)}
        >
          Sign out
        </button>
      </div>
      <CancelOnClose streams={account.streams} />
      {failure !== null && <FailureNote code={failure.code} message={failure.message} />}
    </section>
  );
}

function KeyForm({ account }: { readonly account: Account }) {
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
  );
}
