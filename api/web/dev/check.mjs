/** Whether dist/ is what the sources make: builds into another folder and compares every byte. For CI. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";

const here = new URL("..", import.meta.url).pathname;
const made = mkdtempSync(join(tmpdir(), "pellucid-page-"));

function files(folder, from = folder) {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) =>
    entry.isDirectory() ? files(join(folder, entry.name), from) : [relative(from, join(folder, entry.name))],
  );
}

try {
  execFileSync("npx", ["vite", "build", "--outDir", made, "--emptyOutDir", "--logLevel", "warn"], { cwd: here, stdio: "inherit" });
  execFileSync("node", [join(here, "dev", "finish.mjs"), made], { cwd: here, stdio: "inherit" });
  const committed = join(here, "dist");
  const names = [...new Set([...files(made), ...files(committed)])].sort();
  const other = names.filter((name) => {
    try {
      return !readFileSync(join(made, name)).equals(readFileSync(join(committed, name)));
    } catch {
      return true;
    }
  });
  if (other.length) {
    console.error(`dist/ is not what the sources make: ${other.join(", ")}. Run npm run build, and commit dist/.`);
    process.exitCode = 1;
  } else console.log(`dist/ is what the sources make: ${names.length} files.`);
} finally {
  rmSync(made, { recursive: true, force: true });
}
