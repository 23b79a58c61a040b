// Build, development server and tests. The page is served from `/` by io-gateway, so assets are
// relative and nothing is ever fetched from another host.
import react from "@vitejs/plugin-react";
import { loadEnv } from "vite";
import { defineConfig } from "vitest/config";

export default defineConfig(({ mode }) => {
  const gateway = loadEnv(mode, ".", "EXCHANGE_")["EXCHANGE_URL"] ?? "http://127.0.0.1:8080";
  return {
    plugins: [react()],
    base: "./",
    build: { outDir: "dist", target: "es2022", sourcemap: true },
    server: { proxy: { "/api": gateway, "/wapi": gateway, "/auth": gateway, "/web/config.json": gateway } },
    test: {
      include: ["src/**/*.test.{ts,tsx}"],
      environment: "node",
      restoreMocks: true,
      testTimeout: 30_000,
    },
  };
});
