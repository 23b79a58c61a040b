// Everything that can go wrong between the page and the exchange, as one type the views can show.

export type FailureKind =
  /** The exchange answered and said no. */
  | "refused"
  /** Nothing answered: server away, network down. */
  | "unreachable"
  /** No answer within the deadline. */
  | "timeout"
  /** An answer that is not what the contract says. */
  | "garbled";

export class Failure extends Error {
  readonly kind: FailureKind;
  /** The contract's code (`INSUFFICIENT_FUNDS`), or our own word where no server spoke. */
  readonly code: string;
  readonly status: number | null;
  /** How long the server asked us to wait, from `Retry-After`. */
  readonly retryAfterMs: number | null;

  constructor(
    kind: FailureKind,
    code: string,
    message: string,
    more: { status?: number; retryAfterMs?: number | null; cause?: unknown } = {},
  ) {
    super(message, { cause: more.cause });
    this.name = "Failure";
    this.kind = kind;
    this.code = code;
    this.status = more.status ?? null;
    this.retryAfterMs = more.retryAfterMs ?? null;
  }

  /** True when a request with an effect may or may not have had it. */
  get outcomeUnknown(): boolean {
    return this.kind !== "refused" || this.code === "TIMEOUT" || this.status === 502;
  }

  static from(error: unknown): Failure {
    if (error instanceof Failure) return error;
    const message = error instanceof Error ? error.message : String(error);
    return new Failure("garbled", "CLIENT_ERROR", message, { cause: error });
  }
}
