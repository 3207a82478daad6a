// Processes that outlive the lab script. Each is remembered by pid, start time and command line, so that
// nothing else is ever signalled.
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { closeSync, existsSync, openSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { runFolder } from "./places.mjs";
import { waitFor } from "./run.mjs";

/**
 * Starts `argv` in a session of its own unless it already runs with the same `argv`, `env` and `version`.
 * Returns its pid once `isReady(pid)` says so. Otherwise the error has what the daemon printed.
 */
export async function startDaemon(name, { argv, env = {}, version = "", isReady, withinMs = 30_000 }) {
  const key = createHash("sha256")
    .update(JSON.stringify([argv, env, version]))
    .digest("hex");
  const before = record(name);
  const running = runningPid(name);
  if (running && before.key === key && (await isReady(running))) return { pid: running, isNew: false };
  if (running) await stopDaemon(name);
  const log = logFile(name);
  const output = openSync(log, "w", 0o600);
  const stdio = ["ignore", output, output];
  const child = spawn(argv[0], argv.slice(1), {
    env: { ...process.env, ...env },
    cwd: "/",
    detached: true,
    stdio,
  });
  closeSync(output);
  let ended;
  child.once("error", (error) => {
    ended = error.message;
  });
  child.once("exit", (code, signal) => {
    ended = `ended with ${code ?? signal}`;
  });
  if (child.pid) remember(name, child.pid, key);
  const ready = await waitFor(async () => ended ?? (await isReady(child.pid)), withinMs);
  if (ended || !ready) {
    const words = readFileSync(log, "utf8").trim().slice(-1500);
    if (!ended) await stopDaemon(name);
    throw new Error(`${argv[0]} ${ended ?? "is not ready"}:\n${words}`);
  }
  remember(name, child.pid, key); // It may have become another program since then.
  child.unref();
  return { pid: child.pid, isNew: true };
}

/** Ends the daemon, with SIGKILL if it does not end by itself. */
export async function stopDaemon(name, { signal = "SIGTERM", withinMs = 10_000 } = {}) {
  const pid = runningPid(name);
  if (pid) {
    process.kill(pid, signal);
    const gone = await waitFor(() => !runningPid(name), withinMs);
    if (!gone) process.kill(pid, "SIGKILL");
    await waitFor(() => !runningPid(name), 5_000);
  }
  rmSync(recordFile(name), { force: true });
  return pid ? `${name} stopped, pid ${pid}` : `${name} not running`;
}

/** The pid of the daemon `name`, if that process still is the one which was started. */
export function runningPid(name) {
  const before = record(name);
  if (!before) return undefined;
  const now = identity(before.pid);
  return now && now.startTime === before.startTime && now.command === before.command ? before.pid : undefined;
}

export function childrenOf(pid) {
  const tasks = readdirSync(`/proc/${pid}/task`);
  const lists = tasks.map((task) => readFileSync(`/proc/${pid}/task/${task}/children`, "utf8"));
  return lists.join(" ").split(/\s+/).filter(Boolean).map(Number);
}

export function logFile(name) {
  return join(runFolder, `${name}.log`);
}

function recordFile(name) {
  return join(runFolder, `${name}.json`);
}

function record(name) {
  return existsSync(recordFile(name)) ? JSON.parse(readFileSync(recordFile(name), "utf8")) : undefined;
}

function remember(name, pid, key) {
  writeFileSync(recordFile(name), JSON.stringify({ pid, key, ...identity(pid) }));
}

/** A zombie has no command line, so it counts as gone. */
function identity(pid) {
  try {
    const command = readFileSync(`/proc/${pid}/cmdline`, "utf8");
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    const startTime = stat.slice(stat.lastIndexOf(")")).split(" ")[20];
    return command ? { command, startTime } : undefined;
  } catch {
    return undefined;
  }
}
