// Programs that start, do one thing and end: each run is a fresh process, with ours installed as for a user.
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { cpSync, mkdirSync, symlinkSync } from "node:fs";
import { dirname, join } from "node:path";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { PYTHON, requireMitogen } from "./peers/mitogen.mjs";
import { scratchFolder } from "./scratch.mjs";

const PROGRAMS = fileURLToPath(new URL("programs/", import.meta.url));
const CPU = fileURLToPath(new URL("cpu.mjs", import.meta.url));
const MEASURED = fileURLToPath(new URL("measured.py", import.meta.url));

/**
 * A side that runs a script of `programs/` with `library`. A run returns what `pick` makes of the JSON on the last line
 * that the script prints; without `pick`, the wall and CPU time of the whole run.
 */
export function youngProgram(library, script, { args = [], env = {}, pick } = {}) {
  const folder = scratchFolder();
  cpSync(PROGRAMS, folder, { recursive: true });
  cpSync(CPU, join(folder, "cpu.mjs"));
  install(library, join(folder, "node_modules"));
  // Neither side finds what the other has cached, nor leaves anything in the user's own cache.
  const settings = { cwd: folder, env: { XDG_CACHE_HOME: join(folder, "cache"), ...env } };
  const words = [process.execPath, join(folder, script), ...args];
  return { run: async () => picked(await runMeasured(words, settings), pick) };
}

/**
 * The command line of `library` in a folder of its own, which may hold its configuration. `run` returns what a side does,
 * `peak` the MiB of memory that the program took, and `perform` waits only for the command itself: processes that it
 * leaves go on.
 */
export function youngCli(library) {
  const folder = scratchFolder();
  install(library, join(folder, "node_modules"));
  const program = join(folder, "node_modules", library.manifest.name, "dist/cli.js");
  const env = Object.fromEntries(
    ["CACHE", "STATE", "RUNTIME"].map((kind) => [
      `XDG_${kind}_${kind === "RUNTIME" ? "DIR" : "HOME"}`,
      folder,
    ]),
  );
  const settings = { cwd: folder, env };
  const measured = (words) => runMeasured([process.execPath, program, ...words], settings);
  return {
    folder,
    run: async (words) => picked(await measured(words)),
    peak: async (words) => (await measured(words)).rss,
    perform: (words) => promisify(execFile)(process.execPath, [program, ...words], optionsOf(settings)),
  };
}

/** The same of a script that needs no library. */
export function youngBare(script, { args = [], pick } = {}) {
  return youngCommand([process.execPath, join(PROGRAMS, script), ...args], pick);
}

/** The same of a Python script. */
export function youngMitogen(script, { pick } = {}) {
  requireMitogen();
  return { run: async () => picked(await runMeasured([PYTHON, join(PROGRAMS, script)]), pick) };
}

/** A side that runs a command. */
export function youngCommand(words, pick) {
  return { run: async () => picked(await runMeasured(words), pick) };
}

async function runMeasured(words, { cwd, env } = {}) {
  const child = spawn(PYTHON, [MEASURED, ...words], {
    ...optionsOf({ cwd, env }),
    stdio: ["ignore", "pipe", "pipe", "pipe"],
  });
  const [printed, logged, cost, [code]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    text(child.stdio[3]),
    once(child, "close"),
  ]);
  if (code !== 0) throw new Error(`${words.slice(0, 2).join(" ")} ended with ${code}: ${logged.trim()}`);
  return { ...JSON.parse(cost), printed };
}

function optionsOf({ cwd, env }) {
  return { cwd, env: { ...process.env, ...env } };
}

function picked({ ms, cpu, printed }, pick) {
  return pick ? pick(JSON.parse(printed.trim().split("\n").at(-1))) : { value: ms, cpu };
}

/** The package is copied, as npm would; its dependencies are those of the checkout. */
function install({ root, manifest }, target) {
  const own = join(target, manifest.name);
  cpSync(join(root, "package.json"), join(own, "package.json"));
  cpSync(join(root, "dist"), join(own, "dist"), { recursive: true });
  for (const name of Object.keys(manifest.dependencies ?? {})) {
    mkdirSync(dirname(join(target, name)), { recursive: true });
    symlinkSync(join(root, "node_modules", name), join(target, name));
  }
}
