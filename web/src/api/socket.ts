// One WebSocket for all streams of the page: keeps subscriptions across reconnects, backs off,
// and gives up on a connection that has gone silent (browsers cannot ping).
import { backoffMs, type Backoff } from "./backoff";

export type ConnectionState =
  | { readonly phase: "connecting"; readonly attempt: number }
  | { readonly phase: "open" }
  | { readonly phase: "waiting"; readonly attempt: number; readonly retryMs: number }
  | { readonly phase: "closed" };

export interface StreamListener {
  /** The subscription was sent on a fresh connection: frames before this one are lost. */
  started(): void;
  frame(data: unknown): void;
  /** The connection is gone; `started` follows when it is back. */
  stopped(): void;
}

export interface SocketOptions {
  /** Asked before each attempt, so that a server that moved is found again. */
  readonly url: () => Promise<string>;
  readonly connect: (url: string) => WebSocket;
  readonly random: () => number;
  readonly backoff: Backoff;
  readonly connectDeadlineMs: number;
  /** A ticker speaks every second; this long without a frame means the connection is dead. */
  readonly silenceMsMax: number;
  readonly onState: (state: ConnectionState) => void;
  /** An error frame of the server: a request of ours was refused. */
  readonly onRefused: (code: number, message: string) => void;
}

export class StreamSocket {
  readonly #options: SocketOptions;
  readonly #listeners = new Map<string, StreamListener>();
  #socket: WebSocket | null = null;
  #isOpen = false;
  #attempt = 0;
  /** Counts lives of the connection: what an old life still reports is ignored. */
  #life = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(options: SocketOptions) {
    this.#options = options;
  }

  start(): void {
    void this.#connect();
  }

  /** At once instead of at the end of the back-off: the user asked, or the network is back. */
  retryNow(): void {
    if (this.#isOpen) return;
    this.#attempt = 0;
    this.#drop();
    void this.#connect();
  }

  close(): void {
    this.#drop();
    this.#listeners.clear();
    this.#options.onState({ phase: "closed" });
  }

  /** One listener a stream; returns the function that ends the subscription. */
  subscribe(stream: string, listener: StreamListener): () => void {
    this.#listeners.set(stream, listener);
    if (this.#isOpen) {
      this.#send("SUBSCRIBE", [stream]);
      listener.started();
    }
    return () => {
      if (this.#listeners.get(stream) !== listener) return;
      this.#listeners.delete(stream);
      if (this.#isOpen) this.#send("UNSUBSCRIBE", [stream]);
    };
  }

  async #connect(): Promise<void> {
    const life = ++this.#life;
    this.#options.onState({ phase: "connecting", attempt: this.#attempt });
    let socket: WebSocket;
    try {
      const url = await this.#options.url();
      if (life !== this.#life) return;
      socket = this.#options.connect(url);
    } catch {
      if (life === this.#life) this.#lost();
      return;
    }
    this.#socket = socket;
    this.#timer = setTimeout(() => this.#lost(), this.#options.connectDeadlineMs);
    socket.onopen = () => life === this.#life && this.#opened();
    socket.onmessage = (event) => life === this.#life && this.#received(event.data);
    socket.onclose = () => life === this.#life && this.#lost();
  }

  #opened(): void {
    this.#isOpen = true;
    this.#attempt = 0;
    this.#watchSilence();
    this.#options.onState({ phase: "open" });
    if (this.#listeners.size > 0) this.#send("SUBSCRIBE", [...this.#listeners.keys()]);
    for (const listener of [...this.#listeners.values()]) listener.started();
  }

  #received(data: unknown): void {
    this.#watchSilence();
    let frame: { stream?: unknown; data?: unknown; error?: { code?: unknown; message?: unknown } };
    try {
      frame = JSON.parse(String(data)) as typeof frame;
    } catch {
      // Half a frame cannot happen within a WebSocket: whoever speaks is not our server.
      this.#lost();
      return;
    }
    if (typeof frame.stream === "string") {
      this.#listeners.get(frame.stream)?.frame(frame.data);
    } else if (frame.error !== undefined) {
      this.#options.onRefused(Number(frame.error.code), String(frame.error.message));
    }
  }

  #lost(): void {
    const wasOpen = this.#isOpen;
    this.#drop();
    const retryMs = backoffMs(this.#options.backoff, this.#attempt, this.#options.random());
    this.#attempt += 1;
    this.#options.onState({ phase: "waiting", attempt: this.#attempt, retryMs });
    this.#timer = setTimeout(() => void this.#connect(), retryMs);
    if (wasOpen) for (const listener of [...this.#listeners.values()]) listener.stopped();
  }

  /** Ends the present life, whatever state it is in. */
  #drop(): void {
    this.#life += 1;
    this.#isOpen = false;
    clearTimeout(this.#timer);
    this.#socket?.close();
    this.#socket = null;
  }

  #watchSilence(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      if (this.#listeners.size > 0) this.#lost();
      else this.#watchSilence();
    }, this.#options.silenceMsMax);
  }

  #send(method: "SUBSCRIBE" | "UNSUBSCRIBE", params: readonly string[]): void {
    this.#socket?.send(JSON.stringify({ method, params }));
  }
}
