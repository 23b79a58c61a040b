// Sign-in with e-mail address and password, or a new account with them.
import { useState, type FormEvent } from "react";
import type { Account, SignInProblem } from "../store/account";
import { FailureNote } from "./FailureNote";

const PASSWORD_CHARS_MIN = 10;

export function PasswordForm({ account }: { readonly account: Account }) {
  const [email, setEmail] = useState("");
  const [password, setPassword] = useState("");
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<SignInProblem | null>(null);
  const isShort = password.length < PASSWORD_CHARS_MIN;

  async function enter(how: "login" | "signup"): Promise<void> {
    setBusy(true);
    setProblem(await account.enter(how, email, password));
    setBusy(false);
  }

  function submit(event: FormEvent): void {
    event.preventDefault();
    void enter("login");
  }

  return (
    <form onSubmit={submit}>
      <label>
        E-mail
        <input
          type="email"
          value={email}
          onChange={(event) => setEmail(event.target.value)}
          aria-invalid={problem?.field === "email"}
          autoComplete="username"
        />
      </label>
      <label>
        Password
        <input
          type="password"
          value={password}
          maxLength={128}
          onChange={(event) => setPassword(event.target.value)}
          aria-invalid={problem?.field === "password"}
          autoComplete="current-password"
        />
      </label>
      {problem !== null && <FailureNote code={problem.code} message={problem.message} />}
      <button type="submit" disabled={busy || email === "" || password === ""}>
        {busy ? "Checking…" : "Sign in"}
      </button>
      <button
        type="button"
        disabled={busy || email === "" || isShort}
        onClick={() => void enter("signup")}
      >
        Create account
      </button>
      <p className="quiet">
        A new account needs a password of at least {PASSWORD_CHARS_MIN} characters.
      </p>
    </form>
  );
}
