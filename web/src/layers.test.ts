// The direction of imports, for what project references cannot say: a project may use what its
// references use, but a view talks to stores, never to the network.
import { expect, test } from "vitest";

const sources = import.meta.glob<string>("./{format,api,store,view}/*.{ts,tsx}", {
  query: "?raw",
  import: "default",
  eager: true,
});

const MAY_USE: Readonly<Record<string, readonly string[]>> = {
  format: [],
  api: ["format"],
  store: ["format", "api"],
  view: ["format", "store"],
};

test("every layer imports only from the layers below it", () => {
  const wrong = Object.entries(sources).flatMap(([file, source]) => {
    const layer = file.split("/")[1] ?? "";
    const used = [...source.matchAll(/from "\.\.\/(\w+)\//g)].map((found) => found[1] ?? "");
    const forbidden = used.filter((other) => !MAY_USE[layer]?.includes(other));
    return forbidden.map((other) => `${file} uses ${other}`);
  });
  expect(Object.keys(sources).length).toBeGreaterThan(30);
  expect(wrong).toEqual([]);
});

test("every file opens by saying what it is for", () => {
  const silent = Object.entries(sources).filter(
    ([file, source]) => !file.includes(".test.") && !source.startsWith("// "),
  );
  expect(silent.map(([file]) => file)).toEqual([]);
});
