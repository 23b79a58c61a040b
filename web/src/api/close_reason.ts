// Why the server ended the connection, and how long it is to be left alone after that.

export interface ServerClose {
  readonly code: number;
  /** The server's words, lower case; our own where it gave none. */
  readonly reason: string;
  /** The pause is at least that of this attempt. */
  readonly attemptMin: number;
}

interface Kind {
  readonly reason: string;
  readonly attemptMin: number;
}

const GOING_AWAY = 1001;
const AGAIN = 1013;

const KINDS: Readonly<Record<number, Kind>> = {
  // Every page of that server comes back at once: they are to spread.
  [GOING_AWAY]: { reason: "the server is going away", attemptMin: 1 },
  // It asks for a new beginning, and is there.
  [AGAIN]: { reason: "the server asks to begin again", attemptMin: 0 },
};
/** Something we did: doing it again at once would end alike. */
const REFUSED: Kind = { reason: "the server ended the connection", attemptMin: 3 };
/** No status, and a connection that broke: no server spoke. */
const UNSAID: readonly number[] = [1000, 1005, 1006];

export function serverClose(event: CloseEvent | undefined): ServerClose | null {
  const code = event?.code ?? 1006;
  if (UNSAID.includes(code)) return null;
  const kind = KINDS[code] ?? REFUSED;
  return { code, reason: event?.reason || kind.reason, attemptMin: kind.attemptMin };
}

/** Whether it was for what the page did, and not for what became of the server. */
export function isRefusal(close: ServerClose): boolean {
  return KINDS[close.code] === undefined;
}
