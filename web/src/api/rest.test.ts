import { describe, expect, test } from "vitest";
import type { Failure } from "./failure";
import { RestClient } from "./rest";
import { readCredentials, signedHeaders, type Credentials } from "./signing";

const NOW_MS = 1767225600000;

function credentials(): Credentials {
  const read = readCredentials(
    "A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=",
    "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
  );
  if ("message" in read) throw new Error(read.message);
  return read;
}

/** A client whose server answers what the test says; remembers what was sent. */
function client(answer: (path: string) => Response | Promise<Response>, deadlineMs = 1000) {
  const sent: { url: string; init: RequestInit }[] = [];
  const rest = new RestClient({
    baseUrl: "http://exchange",
    fetch: (url, init) => {
      sent.push({ url, init });
      const aborted = new Promise<never>((_, reject) =>
        init.signal?.addEventListener("abort", () => reject(new Error("aborted"))),
      );
      return Promise.race([Promise.resolve(answer(new URL(url).pathname)), aborted]);
    },
    nowMs: () => NOW_MS,
    deadlineMs,
  });
  return { rest, sent };
}

const json = (body: unknown, status = 200, headers: Record<string, string> = {}) =>
  new Response(JSON.stringify(body), { status, headers });

const failing = (promise: Promise<unknown>) =>
  promise.then(
    () => expect.fail("expected a failure"),
    (failure: Failure) => failure,
  );

describe("signed requests", () => {
  test("DELETE sends its parameters as a body and signs exactly those", async () => {
    const { rest, sent } = client(() => json([]));
    await rest.cancelAll("SOL_USDC", credentials());
    expect(sent[0]?.url).toBe("http://exchange/api/v1/orders");
    expect(sent[0]?.init).toMatchObject({ method: "DELETE", body: '{"symbol":"SOL_USDC"}' });
    const expected = signedHeaders("orderCancelAll", { symbol: "SOL_USDC" }, credentials(), NOW_MS);
    expect(sent[0]?.init.headers).toMatchObject(expected);
  });

  test("are stamped with the server's clock once it is known", async () => {
    const { rest, sent } = client((path) =>
      path === "/api/v1/time" ? new Response(String(NOW_MS + 90_000)) : json({}),
    );
    await rest.alignClock();
    await rest.balances(credentials());
    expect(sent[1]?.init.headers).toMatchObject({ "X-Timestamp": String(NOW_MS + 90_000) });
  });

  test("of a browser session carry its token and no key", async () => {
    const { rest, sent } = client(() => json([]));
    const session = { accountId: "5", email: "ann@example.org", csrfToken: "the-token" };
    await rest.cancelAll("SOL_USDC", session);
    expect(sent[0]?.init.headers).toEqual({
      "X-CSRF-Token": "the-token",
      "Content-Type": "application/json",
    });
  });

  test("public requests carry no key", async () => {
    const { rest, sent } = client(() => json([]));
    await rest.markets();
    expect(sent[0]?.init.headers).toEqual({});
  });
});

describe("failures", () => {
  test("a refusal keeps the exchange's code and message", async () => {
    const body = { code: "INSUFFICIENT_FUNDS", message: "Insufficient funds" };
    const failure = await failing(client(() => json(body, 400)).rest.markets());
    expect(failure).toMatchObject({ kind: "refused", status: 400, ...body, outcomeUnknown: false });
  });

  test.each([
    [429, "TOO_MANY_REQUESTS"],
    [503, "MAINTENANCE"],
  ])("%i says how long to wait", async (status, code) => {
    const answer = () => json({ code, message: "later" }, status, { "Retry-After": "3" });
    const failure = await failing(client(answer).rest.markets());
    expect(failure).toMatchObject({ code, retryAfterMs: 3000 });
  });

  test("an answer of a proxy shows its status", async () => {
    const answer = () => new Response("<h1>Bad Gateway</h1>", { status: 502 });
    const failure = await failing(client(answer).rest.markets());
    expect(failure).toMatchObject({ code: "HTTP_502", outcomeUnknown: true });
  });

  test("a server that is away, slow or talking nonsense", async () => {
    const away = client(() => Promise.reject(new TypeError("Failed to fetch")));
    expect(await failing(away.rest.markets())).toMatchObject({ kind: "unreachable" });
    const slow = client(() => new Promise<Response>(() => undefined), 20);
    expect(await failing(slow.rest.markets())).toMatchObject({ kind: "timeout" });
    const nonsense = client(() => new Response("<html>"));
    expect(await failing(nonsense.rest.markets())).toMatchObject({ kind: "garbled" });
  });
});

describe("the stream address", () => {
  test("comes from the gateway", async () => {
    const { rest } = client(() => json({ wsUrl: "ws://127.0.0.1:9001" }));
    expect(await rest.webConfig()).toEqual({ streamUrl: "ws://127.0.0.1:9001", faucet: false });
  });

  test.each([
    ["not there", () => json({ code: "RESOURCE_NOT_FOUND", message: "Not Found" }, 404)],
    ["a page instead of JSON", () => new Response("<html>")],
    ["no address in it", () => json({})],
    ["no stream address", () => json({ wsUrl: "javascript:alert(1)" })],
  ])("%s: left to the caller", async (_what, answer) => {
    expect((await client(answer).rest.webConfig()).streamUrl).toBeNull();
  });

  test("a server that is away is not the same as no address", async () => {
    const away = client(() => Promise.reject(new TypeError("Failed to fetch")));
    expect(await failing(away.rest.webConfig())).toMatchObject({ kind: "unreachable" });
  });
});
