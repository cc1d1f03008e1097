import { defineConfig } from "vite";

const service = process.env.PELLUCID_SERVICE ?? "http://127.0.0.1:8000";

export default defineConfig({
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
  base: "./", // the service puts the path in front below which it is reached
  server: { host: "127.0.0.1", proxy: { "/v1": service } },
  build: {
    target: "es2022",
    outDir: "dist",
    assetsDir: "assets",
    assetsInlineLimit: 0, // a data: address is no better than a file, and a strict content policy would refuse most
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    sourcemap: false,
  },
});
