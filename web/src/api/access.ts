// What lets a request speak for an account: a key pair that signs it, or the session that the
// browser's cookie stands for.
import { signedHeaders, subscribeSignature, type Credentials, type Parameters } from "./signing";

/** The cookie goes along by itself; the token shows that our page asked, and no other. */
export interface BrowserSession {
  readonly accountId: string;
  readonly email: string;
  readonly csrfToken: string;
}

export type Access = Credentials | BrowserSession;

export function isSession(access: Access): access is BrowserSession {
  return "csrfToken" in access;
}

export function accessHeaders(
  instruction: string,
  parameters: Parameters,
  access: Access,
  timestampMs: number,
): Readonly<Record<string, string>> {
  if (isSession(access)) return { "X-CSRF-Token": access.csrfToken };
  return signedHeaders(instruction, parameters, access, timestampMs);
}

/** `signature` of a SUBSCRIBE to private streams; the cookie of the connection needs none. */
export function subscribeProof(access: Access, timestampMs: number): readonly string[] | null {
  return isSession(access) ? null : subscribeSignature(access, timestampMs);
}
