/** After the build: whose work is in it, and from which sources it was made. */
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";

const here = new URL("..", import.meta.url).pathname;
const out = process.argv[2] ?? join(here, "dist");

const SHIPPED = ["preact", "@preact/signals", "@preact/signals-core", "leaflet", "topojson-client", "world-atlas"];
const parts = SHIPPED.map((name) => {
  const folder = join(here, "node_modules", name);
  const { version, license } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
  const file = readdirSync(folder).find((entry) => /^licen[cs]e/i.test(entry));
  const text = file && existsSync(join(folder, file)) ? readFileSync(join(folder, file), "utf8").trim() : `${license}`;
  return `## ${name} ${version}\n\nLicence: ${license}\n\n\`\`\`text\n${text}\n\`\`\`\n`;
});
const note = "The coastlines of world-atlas are from Natural Earth, which is in the public domain.\n";
writeFileSync(join(out, "THIRD_PARTY.md"), `# Third-party parts of the page\n\nThese are bundled into \`assets/\`. ${note}\n${parts.join("\n")}`);

function files(folder) {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) =>
    entry.isDirectory() ? files(join(folder, entry.name)) : [join(folder, entry.name)],
  );
}
const sources = ["index.html", "package.json", "package-lock.json", "tsconfig.json", "vite.config.ts", "schemas.json", "dev/finish.mjs"]
  .map((name) => join(here, name))
  .concat(files(join(here, "src")), files(join(here, "public")))
  .map((path) => [relative(here, path).replaceAll("\\", "/"), path])
  .sort(([a], [b]) => (a < b ? -1 : 1));
const sums = sources.map(([name, path]) => `${createHash("sha256").update(readFileSync(path)).digest("hex")}  ${name}`);
writeFileSync(join(out, "sources.sha256"), `${sums.join("\n")}\n`);
