// Request signatures: ED25519 over the instruction, the sorted parameters, timestamp and window
// (rules of the public API). The pure-JavaScript curve is used because browsers offer WebCrypto
// only to pages from https or localhost.
import { ed25519 } from "@noble/curves/ed25519.js";

export interface Credentials {
  /** Base64 of the 32-byte public key. */
  readonly apiKey: string;
  readonly seed: Uint8Array;
}

/** What a request sends; an absent member is simply not there, `null` never occurs. */
export type Parameters = Readonly<Record<string, string | number | boolean>>;

export const WINDOW_MS = 5000;
const KEY_BYTES = 32;

export type CredentialsProblem = { readonly field: "apiKey" | "secret"; readonly message: string };

function bytesFromBase64(base64: string): Uint8Array | null {
  const standard = base64.trim().replaceAll("-", "+").replaceAll("_", "/").replace(/=+$/, "");
  if (!/^[A-Za-z0-9+/]+$/.test(standard) || standard.length % 4 === 1) return null;
  return Uint8Array.from(atob(standard), (character) => character.charCodeAt(0));
}

function base64FromBytes(bytes: Uint8Array): string {
  return btoa(String.fromCharCode(...bytes));
}

/** Checks key and secret against each other, so that a wrong paste is told before any request. */
export function readCredentials(apiKey: string, secret: string): Credentials | CredentialsProblem {
  const publicKey = bytesFromBase64(apiKey);
  if (publicKey?.length !== KEY_BYTES) {
    return { field: "apiKey", message: "The API key is 32 bytes in base64 (44 characters)." };
  }
  const seed = bytesFromBase64(secret);
  if (seed?.length !== KEY_BYTES) {
    return { field: "secret", message: "The secret is 32 bytes in base64 (44 characters)." };
  }
  const derived = base64FromBytes(ed25519.getPublicKey(seed));
  if (derived !== base64FromBytes(publicKey)) {
    return { field: "secret", message: "This secret does not belong to this API key." };
  }
  return { apiKey: derived, seed };
}

export function secretText(credentials: Credentials): string {
  return base64FromBytes(credentials.seed);
}

function byteOrder(left: string, right: string): number {
  return left < right ? -1 : left > right ? 1 : 0;
}

/** The string that is signed. Member names are ASCII, so string order is byte order. */
export function signedText(
  instruction: string,
  parameters: Parameters,
  timestampMs: number,
  windowMs: number,
): string {
  const pairs = Object.entries(parameters).sort(([left], [right]) => byteOrder(left, right));
  return [
    `instruction=${instruction}`,
    ...pairs.map(([key, value]) => `${key}=${value}`),
    `timestamp=${timestampMs}`,
    `window=${windowMs}`,
  ].join("&");
}

export function signatureOf(message: string, credentials: Credentials): string {
  return base64FromBytes(ed25519.sign(new TextEncoder().encode(message), credentials.seed));
}

export function signedHeaders(
  instruction: string,
  parameters: Parameters,
  credentials: Credentials,
  timestampMs: number,
): Readonly<Record<string, string>> {
  const message = signedText(instruction, parameters, timestampMs, WINDOW_MS);
  return {
    "X-API-Key": credentials.apiKey,
    "X-Signature": signatureOf(message, credentials),
    "X-Timestamp": String(timestampMs),
    "X-Window": String(WINDOW_MS),
  };
}

/** Key, signature, timestamp and window, as a SUBSCRIBE to private streams carries them. */
export function subscribeSignature(
  credentials: Credentials,
  timestampMs: number,
): readonly string[] {
  const message = signedText("subscribe", {}, timestampMs, WINDOW_MS);
  const signature = signatureOf(message, credentials);
  return [credentials.apiKey, signature, String(timestampMs), String(WINDOW_MS)];
}
