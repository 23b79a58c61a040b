// Keeps a book in step with the exchange, by the procedure of the public API:
// buffer frames, take a snapshot, drop what it contains, check that every frame follows the one
// before and that the book it makes has the checksum it says, and start over when one does not.
//
//   idle ──started──▶ loading ──snapshot joins──▶ live
//                        ▲                          │ gap, wrong checksum, crossed book,
//                        └──────────────────────────┘ unreadable frame   any ──stopped──▶ stale
import { backoffMs, type Backoff } from "../api/backoff";
import { Failure } from "../api/failure";
import type { DepthFrame, DepthSnapshot } from "../api/wire";
import type { MarketUnits } from "../format/decimal";
import { Book, type BookRows } from "./book";

/** `live` is the only phase in which the rows are the exchange's book of this moment. */
export type BookPhase = "idle" | "loading" | "live" | "stale";

export interface BookView extends BookRows {
  readonly phase: BookPhase;
  readonly updateId: number | null;
  /** How often the book had to be fetched anew because a frame did not follow. */
  readonly resyncs: number;
  /** How many of those times the checksum said that our copy was wrong. */
  readonly mismatches: number;
  readonly failure: Failure | null;
}

export interface BookKeeperOptions {
  readonly units: MarketUnits;
  readonly fetchSnapshot: () => Promise<DepthSnapshot>;
  readonly onChange: (view: BookView) => void;
  readonly rowsMax: number;
  /** At most one `onChange` in this time; phases are told at once. */
  readonly publishEveryMs: number;
  readonly retry: Backoff;
  readonly random: () => number;
}

export const EMPTY_BOOK: BookView = {
  phase: "idle",
  asks: [],
  bids: [],
  spread: null,
  updateId: null,
  resyncs: 0,
  mismatches: 0,
  failure: null,
};

/** More frames than this before the snapshot means that it is not coming: start over. */
const BUFFER_MAX = 20_000;
/** So many frames in a row call a book well again: a server with broken ids is not hammered. */
const FOLLOWED_WELL = 20;

export class BookKeeper {
  readonly #options: BookKeeperOptions;
  readonly #book = new Book();
  #phase: BookPhase = "idle";
  #buffer: DepthFrame[] = [];
  #updateId: number | null = null;
  #resyncs = 0;
  #mismatches = 0;
  /** Snapshots asked for since the book last ran well; grows the pause between them. */
  #attempts = 0;
  /** Frames applied since the last snapshot. */
  #followed = 0;
  #failure: Failure | null = null;
  /** Counts starts: an answer to a former start is ignored. */
  #start = 0;
  #retryTimer: ReturnType<typeof setTimeout> | undefined;
  #publishTimer: ReturnType<typeof setTimeout> | undefined;

  constructor(options: BookKeeperOptions) {
    this.#options = options;
  }

  /** The depth subscription was sent on a fresh connection. */
  started(): void {
    this.#attempts = 0;
    this.#failure = null;
    this.#load(0);
  }

  /** Frames are being lost from now on: what is shown is the past. */
  stopped(): void {
    this.#halt();
    this.#phase = this.#updateId === null ? "idle" : "stale";
    this.#publishNow();
  }

  dispose(): void {
    this.#halt();
    clearTimeout(this.#publishTimer);
  }

  frame(frame: DepthFrame): void {
    if (this.#phase === "loading") {
      this.#buffer.push(frame);
      if (this.#buffer.length > BUFFER_MAX) this.#resync();
    } else if (this.#phase === "live" && this.#take(frame)) {
      this.#publishSoon();
    }
  }

  /** A frame came that could not be read: its changes are lost. */
  unreadable(failure: Failure): void {
    this.#failure = failure;
    if (this.#phase === "live" || this.#phase === "loading") this.#resync();
  }

  #halt(): void {
    this.#start += 1;
    clearTimeout(this.#retryTimer);
    this.#buffer = [];
  }

  #load(delayMs: number): void {
    this.#halt();
    this.#phase = "loading";
    this.#publishNow();
    const start = this.#start;
    const fetch = () => void this.#fetch(start);
    if (delayMs === 0) fetch();
    else this.#retryTimer = setTimeout(fetch, delayMs);
  }

  async #fetch(start: number): Promise<void> {
    try {
      const snapshot = await this.#options.fetchSnapshot();
      if (start === this.#start) this.#join(snapshot);
    } catch (error) {
      if (start !== this.#start) return;
      this.#failure = Failure.from(error);
      const pauseMs = Math.max(this.#pauseMs(), this.#failure.retryAfterMs ?? 0);
      // Frames keep gathering meanwhile: the later snapshot joins them like the first would have.
      this.#retryTimer = setTimeout(() => void this.#fetch(start), pauseMs);
      this.#publishNow();
    }
  }

  #join(snapshot: DepthSnapshot): void {
    const buffered = this.#buffer;
    this.#buffer = [];
    this.#book.replace(snapshot.asks, snapshot.bids);
    this.#updateId = snapshot.lastUpdateId;
    this.#followed = 0;
    this.#phase = "live";
    this.#failure = null;
    if (buffered.every((frame) => this.#take(frame))) this.#publishNow();
  }

  /** Applies a frame that follows, skips one already contained; false when it had to start over. */
  #take(frame: DepthFrame): boolean {
    const last = this.#updateId ?? 0;
    if (frame.lastUpdateId < last) return true;
    // The frame with which a snapshot ends proves the snapshot.
    if (frame.lastUpdateId === last) return this.#proves(frame);
    // The first frame after a snapshot may begin before it; later ones must follow exactly.
    const follows =
      this.#followed > 0 ? frame.firstUpdateId === last + 1 : frame.firstUpdateId <= last + 1;
    if (follows) {
      this.#book.apply(frame.asks, frame.bids);
      this.#updateId = frame.lastUpdateId;
      this.#followed += 1;
    }
    if (!follows || this.#book.isCrossed) {
      this.#resync();
      return false;
    }
    if (!this.#proves(frame)) return false;
    if (this.#followed >= FOLLOWED_WELL) this.#attempts = 0;
    return true;
  }

  /** Whether the book is what the exchange had after `frame`; starts over when it is not. */
  #proves(frame: DepthFrame): boolean {
    const { checksum } = frame;
    if (checksum === null || checksum === this.#book.checksum(this.#options.units)) return true;
    this.#mismatches += 1;
    this.#resync();
    return false;
  }

  #resync(): void {
    this.#resyncs += 1;
    // The first snapshot after a gap is asked for at once; if that does not help, with pauses.
    const pauseMs = this.#pauseMs();
    this.#load(this.#attempts === 1 ? 0 : pauseMs);
  }

  #pauseMs(): number {
    return backoffMs(this.#options.retry, this.#attempts++, this.#options.random());
  }

  #publishSoon(): void {
    this.#publishTimer ??= setTimeout(() => this.#publishNow(), this.#options.publishEveryMs);
  }

  #publishNow(): void {
    clearTimeout(this.#publishTimer);
    this.#publishTimer = undefined;
    this.#options.onChange({
      ...this.#book.rows(this.#options.rowsMax),
      phase: this.#phase,
      updateId: this.#updateId,
      resyncs: this.#resyncs,
      mismatches: this.#mismatches,
      failure: this.#failure,
    });
  }
}
