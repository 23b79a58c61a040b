// The vectors are those of the public API; ED25519 is deterministic.
import { describe, expect, test } from "vitest";
import {
  readCredentials,
  secretText,
  signatureOf,
  signedHeaders,
  signedText,
  subscribeSignature,
  type Credentials,
  type Parameters,
} from "./signing";

const API_KEY = "A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=";
const SECRET = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const TIMESTAMP_MS = 1767225600000;

function credentials(): Credentials {
  const read = readCredentials(API_KEY, SECRET);
  if ("message" in read) throw new Error(read.message);
  return read;
}

const vectors: readonly [string, Parameters, string, string][] = [
  [
    "balanceQuery",
    {},
    "instruction=balanceQuery&timestamp=1767225600000&window=5000",
    "hdGamfQVLiHrFO13nyWUPzCwJhtHvbAXj2a3P2WAyQJJ0kVEB+nPQwPvCI21ml3XPWLwHEPUqPRolWCdKA2ECQ==",
  ],
  [
    "orderExecute",
    {
      symbol: "SOL_USDC",
      side: "Bid",
      orderType: "Limit",
      price: "20.5",
      quantity: "1.25",
      clientId: 7,
      postOnly: true,
    },
    "instruction=orderExecute&clientId=7&orderType=Limit&postOnly=true&price=20.5&quantity=1.25" +
      "&side=Bid&symbol=SOL_USDC&timestamp=1767225600000&window=5000",
    "AHJAPS2OhHxukzmSC7O8mxY0OIuWb++wognMnvCA5jEkVWv/soRxwSQG9IRwb531DK9JO9Ycq71W5mUvKHnnAg==",
  ],
  [
    "orderCancel",
    { symbol: "SOL_USDC", orderId: "4200000001" },
    "instruction=orderCancel&orderId=4200000001&symbol=SOL_USDC" +
      "&timestamp=1767225600000&window=5000",
    "fB8smzZmOvTEgMdPAMMn33bp5cSyr11tUIDVaCAilmMLD/c/hScTgADQiBgs4sWs7EjGXzj3pvBJetNyh4G2CA==",
  ],
  [
    "subscribe",
    {},
    "instruction=subscribe&timestamp=1767225600000&window=5000",
    "VuezQCs88zWDX4P2DQMyeJIgWIJHh7ibqEYlp/Y+oO7u8/1JsOKQlNmcO73zbiHlmpzBzkNZ5WbzpvFUMk+lAw==",
  ],
];

describe("the published vectors", () => {
  test.each(vectors)("%s", (instruction, parameters, message, signature) => {
    expect(signedText(instruction, parameters, TIMESTAMP_MS, 5000)).toBe(message);
    expect(signatureOf(message, credentials())).toBe(signature);
    expect(signedHeaders(instruction, parameters, credentials(), TIMESTAMP_MS)).toEqual({
      "X-API-Key": API_KEY,
      "X-Signature": signature,
      "X-Timestamp": "1767225600000",
      "X-Window": "5000",
    });
  });

  test("a subscription carries key, signature, timestamp and window as text", () => {
    const [, , , subscribe] = vectors;
    expect(subscribeSignature(credentials(), TIMESTAMP_MS)).toEqual([
      API_KEY,
      subscribe?.[3],
      "1767225600000",
      "5000",
    ]);
  });

  test("a batch's text signs to the published signature too", () => {
    const message =
      "instruction=orderExecute&orderType=Limit&price=20.5&quantity=1&side=Bid&symbol=SOL_USDC" +
      "&instruction=orderExecute&orderType=Market&quoteQuantity=30&side=Ask&symbol=SOL_USDC" +
      "&timestamp=1767225600000&window=5000";
    expect(signatureOf(message, credentials())).toBe(
      "wEtdiUSW6KV0voZgOaAEp73KsHOTh5gUMkvkcAg95hfwNRfu5jwiTgLID3b0ywDeTNjtLUYfS1+q5rb00bzRDg==",
    );
  });
});

describe("pasted keys", () => {
  test("are read with blanks, without padding and in the URL-safe form", () => {
    const pasted = readCredentials(` ${API_KEY.replace("/", "_").replace("=", "")}\n`, SECRET);
    expect(pasted).toEqual(credentials());
    expect(secretText(credentials())).toBe(SECRET);
  });

  test("name the field that is wrong", () => {
    expect(readCredentials("", SECRET)).toMatchObject({ field: "apiKey" });
    expect(readCredentials("not base64!", SECRET)).toMatchObject({ field: "apiKey" });
    expect(readCredentials(API_KEY, "AAEC")).toMatchObject({ field: "secret" });
    expect(readCredentials(API_KEY, API_KEY)).toMatchObject({
      field: "secret",
      message: "This secret does not belong to this API key.",
    });
  });
});
