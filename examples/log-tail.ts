/**
 * Follows a file on many machines: `log-tail.ts /var/log/syslog host …`. Without arguments it follows two
 * files of its own on local contexts until it has seen three lines of each.
 */

import { spawn } from "node:child_process";
import { appendFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { type Context, currentCall, type Router, runWithRouter } from "mitogen";

/** Yields the last ten lines of a file, then each line that is added. Ends when its reader leaves the loop. */
export async function* tail(path: string): AsyncGenerator<string> {
  const { signal } = currentCall();
  const child = spawn("tail", ["-n", "10", "-F", path], { stdio: ["ignore", "pipe", "inherit"] });
  // Ends tail as soon as the reader is gone, even while no line comes.
  const end = (): unknown => child.kill();
  signal.addEventListener("abort", end);
  try {
    yield* createInterface({ input: child.stdout });
  } finally {
    signal.removeEventListener("abort", end);
    end();
  }
}

async function follow(
  context: Context,
  label: string,
  path: string,
  most = Number.POSITIVE_INFINITY,
): Promise<void> {
  let count = 0;
  for await (const line of context.stream(tail, path)) {
    console.log(`${label}: ${line}`);
    count += 1;
    if (count >= most) return;
  }
}

async function main(router: Router, path?: string, ...hosts: string[]): Promise<void> {
  if (path !== undefined) {
    await Promise.all(hosts.map(async (hostname) => follow(await router.ssh({ hostname }), hostname, path)));
    return;
  }
  const folder = mkdtempSync(join(tmpdir(), "log-tail-"));
  // Only now, because tail complains when its file disappears.
  process.once("exit", () => rmSync(folder, { recursive: true }));
  await Promise.all(["red", "blue"].map((name) => followOwn(router, name, join(folder, name))));
}

/** Writes one line now and two later. */
async function followOwn(router: Router, name: string, path: string): Promise<void> {
  writeFileSync(path, "first\n");
  const following = follow(await router.local({ remoteName: name }), name, path, 3);
  for (const text of ["second\n", "third\n"]) appendFileSync(path, text);
  await following;
}

await runWithRouter(main, ...process.argv.slice(2));
