// The private streams of whoever is signed in, and the wish to have all orders cancelled when the
// connection ends. The exchange confirms nothing: what it has not refused within a while is
// granted.
//
//   off ──begin──▶ starting ──settled, or a frame──▶ live
//                   ▲  ▲ └──────── refused ────────▶ refused
//       lost, back ─┘  └──────── asked again, later ────┘            any ──end──▶ off
import type { Access } from "../api/access";
import { subscribeProof } from "../api/access";
import {
  BALANCE_UPDATES,
  CANCEL_ON_DISCONNECT,
  decodeBalanceUpdate,
  decodeOrderUpdate,
  ORDER_UPDATES,
  type OrderUpdate,
} from "../api/account_wire";
import { backoffMs, type Backoff } from "../api/backoff";
import type { PrivateListener, PrivateSubscription, StreamSocket } from "../api/socket";
import type { Balance } from "../api/wire";
import { Cell } from "./cell";

export type LiveUpdates =
  | { readonly phase: "off" | "starting" | "live" }
  | { readonly phase: "refused"; readonly message: string };

/** `lost`: the connection broke, so that the exchange cancels; `refused` is off again. */
export type CancelOnClose =
  | { readonly phase: "off" | "starting" | "on" | "lost" }
  | { readonly phase: "refused"; readonly message: string };

export interface AccountStreamsOptions {
  readonly socket: StreamSocket;
  readonly nowMs: () => number;
  /** Asked before a refused request is made again: the clock may be what was wrong with it. */
  readonly alignClock: () => Promise<void>;
  readonly random: () => number;
  readonly onOrder: (update: OrderUpdate) => void;
  readonly onBalance: (balance: Balance) => void;
  /** The streams begin with no snapshot, or a frame was lost: all is to be fetched. */
  readonly onMissed: () => void;
}

/** A refusal comes within this, or not at all. */
const SETTLE_MS = 3000;
const RETRY: Backoff = { firstMs: 5000, mostMs: 60_000 };

export class AccountStreams {
  readonly live = new Cell<LiveUpdates>({ phase: "off" });
  readonly cancelOnClose = new Cell<CancelOnClose>({ phase: "off" });

  readonly #options: AccountStreamsOptions;
  #access: Access | null = null;
  #updates: PrivateSubscription | null = null;
  #switch: PrivateSubscription | null = null;
  #updatesTimer: ReturnType<typeof setTimeout> | undefined;
  #switchTimer: ReturnType<typeof setTimeout> | undefined;
  /** Refusals in a row. */
  #refusals = 0;

  constructor(options: AccountStreamsOptions) {
    this.#options = options;
  }

  begin(access: Access): void {
    this.end();
    this.#access = access;
    this.live.set({ phase: "starting" });
    this.#updates = this.#options.socket.subscribePrivate({
      streams: [ORDER_UPDATES, BALANCE_UPDATES],
      proof: () => subscribeProof(access, this.#options.nowMs()),
      listener: this.#updatesListener(),
    });
  }

  /** Nothing is cancelled by this: the wish is taken back before. */
  end(): void {
    this.setCancelOnClose(false);
    clearTimeout(this.#updatesTimer);
    this.#updates?.end();
    this.#updates = null;
    this.#access = null;
    this.#refusals = 0;
    this.live.set({ phase: "off" });
  }

  /** Ends the timers. */
  stop(): void {
    clearTimeout(this.#updatesTimer);
    clearTimeout(this.#switchTimer);
  }

  setCancelOnClose(wanted: boolean): void {
    const access = this.#access;
    clearTimeout(this.#switchTimer);
    this.#switch?.end();
    this.#switch = null;
    this.cancelOnClose.set({ phase: "off" });
    if (!wanted || access === null) return;
    this.cancelOnClose.set({ phase: "starting" });
    this.#switch = this.#options.socket.subscribePrivate({
      streams: [CANCEL_ON_DISCONNECT],
      proof: () => subscribeProof(access, this.#options.nowMs()),
      listener: {
        started: () => this.#switching(),
        stopped: () => {
          clearTimeout(this.#switchTimer);
          this.cancelOnClose.set({ phase: "lost" });
        },
        frame: () => undefined,
        // The other listener hears of every refusal too, and finds out whose it is.
        refused: () => undefined,
      },
    });
  }

  #updatesListener(): PrivateListener {
    return {
      started: () => {
        clearTimeout(this.#updatesTimer);
        this.#updatesTimer = setTimeout(() => this.#settled(), SETTLE_MS);
        this.live.set({ phase: "starting" });
        this.#options.onMissed();
      },
      stopped: () => {
        clearTimeout(this.#updatesTimer);
        this.live.set({ phase: "starting" });
      },
      frame: (stream, data) => this.#frame(stream, data),
      refused: (message) => this.#refused(message),
    };
  }

  #frame(stream: string, data: unknown): void {
    if (this.live.get().phase === "starting") this.#settled();
    try {
      if (stream === ORDER_UPDATES) this.#options.onOrder(decodeOrderUpdate(data));
      else this.#options.onBalance(decodeBalanceUpdate(data));
    } catch {
      // What it told is asked for instead.
      this.#options.onMissed();
    }
  }

  /** What happened between the first fetch and the grant is in no frame: one more fetch has it. */
  #settled(): void {
    clearTimeout(this.#updatesTimer);
    this.#refusals = 0;
    this.live.set({ phase: "live" });
    this.#options.onMissed();
  }

  #switching(): void {
    this.cancelOnClose.set({ phase: "starting" });
    clearTimeout(this.#switchTimer);
    this.#switchTimer = setTimeout(() => this.cancelOnClose.set({ phase: "on" }), SETTLE_MS);
  }

  /**
   * A refusal does not say of what. While both are in doubt the wish is given up first, for a key
   * that may only read is refused that alone, and the streams are asked for once more.
   */
  #refused(message: string): void {
    if (this.cancelOnClose.get().phase === "starting") {
      this.setCancelOnClose(false);
      this.cancelOnClose.set({ phase: "refused", message });
      this.#updates?.again();
      return;
    }
    if (this.live.get().phase === "refused") return;
    this.live.set({ phase: "refused", message });
    clearTimeout(this.#updatesTimer);
    const pauseMs = backoffMs(RETRY, this.#refusals++, this.#options.random());
    this.#updatesTimer = setTimeout(() => void this.#again(), pauseMs);
  }

  async #again(): Promise<void> {
    const updates = this.#updates;
    await this.#options.alignClock().catch(() => undefined);
    if (updates === this.#updates) updates?.again();
  }
}
