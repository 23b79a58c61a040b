// One WebSocket for all streams of the page: keeps subscriptions across reconnects, backs off,
// and gives up on a connection that has gone silent (browsers cannot ping). Private streams are
// asked for apart from the public ones, with a proof made anew each time: a refusal is of a whole
// request, and does not say of which.
import { backoffMs, type Backoff } from "./backoff";
import { serverClose, type ServerClose } from "./close_reason";

export type ConnectionState =
  | { readonly phase: "connecting"; readonly attempt: number }
  | { readonly phase: "open" }
  | {
      readonly phase: "waiting";
      readonly attempt: number;
      readonly retryMs: number;
      /** Why the server ended the connection, if it said so. */
      readonly close: ServerClose | null;
    }
  | { readonly phase: "closed" };

export interface StreamListener {
  /** The subscription was sent on a fresh connection: frames before this one are lost. */
  started(): void;
  frame(data: unknown): void;
  /** The connection is gone; `started` follows when it is back. */
  stopped(): void;
}

export interface PrivateListener {
  /** As of a public stream, but that it was asked for is not yet that it is granted. */
  started(): void;
  frame(stream: string, data: unknown): void;
  stopped(): void;
  /** The server refused a private request, ours or another's. */
  refused(message: string): void;
}

export interface PrivateRequest {
  readonly streams: readonly string[];
  /** `signature` of the request; null where the cookie of the connection speaks for itself. */
  readonly proof: () => readonly string[] | null;
  readonly listener: PrivateListener;
}

export interface PrivateSubscription {
  /** Asks once more on the present connection; nothing while there is none. */
  again(): void;
  end(): void;
}

export interface SocketOptions {
  /** Asked before each attempt, so that a server that moved is found again. */
  readonly url: () => Promise<string>;
  readonly connect: (url: string) => WebSocket;
  readonly random: () => number;
  readonly backoff: Backoff;
  readonly connectDeadlineMs: number;
  /** A connection this old has done well: the next one is tried without a long pause. */
  readonly wellAfterMs: number;
  /** A ticker speaks every second; this long without a frame means the connection is dead. */
  readonly silenceMsMax: number;
  readonly onState: (state: ConnectionState) => void;
  /** An error frame of the server: a request of ours was refused. */
  readonly onRefused: (code: number, message: string) => void;
}

/** "Invalid signature": of a key, of a session, or of what they may not do. */
const INVALID_SIGNATURE = 4003;

export class StreamSocket {
  readonly #options: SocketOptions;
  readonly #listeners = new Map<string, StreamListener>();
  readonly #private = new Set<PrivateRequest>();
  #socket: WebSocket | null = null;
  #isOpen = false;
  #attempt = 0;
  /** Counts lives of the connection: what an old life still reports is ignored. */
  #life = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #wellTimer: ReturnType<typeof setTimeout> | undefined;

  constructor(options: SocketOptions) {
    this.#options = options;
  }

  start(): void {
    void this.#connect();
  }

  /** At once instead of at the end of the back-off: the user asked, or the network is back. */
  retryNow(): void {
    if (!this.#isOpen) this.renew();
  }

  /** A connection of its own for whoever signed in: the cookie is read when one is made. */
  renew(): void {
    const wasOpen = this.#isOpen;
    this.#attempt = 0;
    this.#drop();
    if (wasOpen) this.#tellStopped();
    void this.#connect();
  }

  close(): void {
    this.#drop();
    this.#listeners.clear();
    this.#private.clear();
    this.#options.onState({ phase: "closed" });
  }

  /** One listener a stream; returns the function that ends the subscription. */
  subscribe(stream: string, listener: StreamListener): () => void {
    this.#listeners.set(stream, listener);
    if (this.#isOpen) {
      this.#send({ method: "SUBSCRIBE", params: [stream] });
      listener.started();
    }
    return () => {
      if (this.#listeners.get(stream) !== listener) return;
      this.#listeners.delete(stream);
      if (this.#isOpen) this.#send({ method: "UNSUBSCRIBE", params: [stream] });
    };
  }

  /** No two requests at a time may name the same stream. */
  subscribePrivate(request: PrivateRequest): PrivateSubscription {
    this.#private.add(request);
    if (this.#isOpen) this.#ask(request);
    return {
      again: () => {
        if (this.#isOpen && this.#private.has(request)) this.#ask(request);
      },
      end: () => {
        if (!this.#private.delete(request) || !this.#isOpen) return;
        this.#send({ method: "UNSUBSCRIBE", params: request.streams });
      },
    };
  }

  #ask(request: PrivateRequest): void {
    const { streams, proof, listener } = request;
    const signature = proof();
    this.#send({
      method: "SUBSCRIBE",
      params: streams,
      ...(signature === null ? {} : { signature }),
    });
    listener.started();
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
    socket.onclose = (event) => life === this.#life && this.#lost(serverClose(event));
  }

  #opened(): void {
    this.#isOpen = true;
    this.#wellTimer = setTimeout(() => (this.#attempt = 0), this.#options.wellAfterMs);
    this.#watchSilence();
    this.#options.onState({ phase: "open" });
    const streams = [...this.#listeners.keys()];
    if (streams.length > 0) this.#send({ method: "SUBSCRIBE", params: streams });
    for (const listener of [...this.#listeners.values()]) listener.started();
    for (const request of [...this.#private]) this.#ask(request);
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
      this.#deliver(frame.stream, frame.data);
    } else if (frame.error !== undefined) {
      this.#refused(Number(frame.error.code), String(frame.error.message));
    }
  }

  #deliver(stream: string, data: unknown): void {
    const listener = this.#listeners.get(stream);
    if (listener !== undefined) {
      listener.frame(data);
      return;
    }
    for (const request of this.#private) {
      if (request.streams.includes(stream)) request.listener.frame(stream, data);
    }
  }

  #refused(code: number, message: string): void {
    this.#options.onRefused(code, message);
    if (code !== INVALID_SIGNATURE) return;
    for (const request of [...this.#private]) {
      if (this.#private.has(request)) request.listener.refused(message);
    }
  }

  #lost(close: ServerClose | null = null): void {
    const wasOpen = this.#isOpen;
    this.#drop();
    this.#attempt = Math.max(this.#attempt, close?.attemptMin ?? 0);
    const retryMs = backoffMs(this.#options.backoff, this.#attempt, this.#options.random());
    this.#attempt += 1;
    this.#options.onState({ phase: "waiting", attempt: this.#attempt, retryMs, close });
    this.#timer = setTimeout(() => void this.#connect(), retryMs);
    if (wasOpen) this.#tellStopped();
  }

  #tellStopped(): void {
    for (const listener of [...this.#listeners.values()]) listener.stopped();
    for (const request of [...this.#private]) request.listener.stopped();
  }

  /** Ends the present life, whatever state it is in. */
  #drop(): void {
    this.#life += 1;
    this.#isOpen = false;
    clearTimeout(this.#timer);
    clearTimeout(this.#wellTimer);
    this.#socket?.close();
    this.#socket = null;
  }

  #watchSilence(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      const names = [...this.#listeners.keys()];
      if (names.some((name) => name.startsWith("ticker."))) this.#lost();
      else this.#watchSilence();
    }, this.#options.silenceMsMax);
  }

  #send(request: {
    readonly method: "SUBSCRIBE" | "UNSUBSCRIBE";
    readonly params: readonly string[];
    readonly signature?: readonly string[];
  }): void {
    this.#socket?.send(JSON.stringify(request));
  }
}
