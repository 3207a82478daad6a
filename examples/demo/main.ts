/** `npm start`: what the library does, on local contexts, in a few seconds. Needs no network and no root. */

import { execFileSync } from "node:child_process";
import { availableParallelism, hostname } from "node:os";
import { CallError, type Context, logToFile, Router, runWithRouter } from "mitogen";
import { countStatements, hang, readSettings } from "./tasks.ts";

const SOURCES = ["let a = 1; a += 2;", "export const b = () => 3;", "import c from 'c'; c(); c(1); c(2);"];

function title(text: string): void {
  console.log(`\n\x1b[1m${text}\x1b[0m`);
}

async function main(router: Router): Promise<void> {
  const started = performance.now();
  title(`1. Three contexts, started in parallel on ${hostname()} (${availableParallelism()} cores)`);
  const contexts = await Promise.all(
    SOURCES.map((_, index) => router.local({ remoteName: `demo-${index}` })),
  );
  console.log(
    `up after ${Math.round(performance.now() - started)} ms: ${contexts.map(({ name }) => name).join(", ")}`,
  );

  title("2. A TypeScript function with an npm dependency runs in each; its output and logs come back");
  const reports = await Promise.all(
    contexts.map((context, index) => context.call(countStatements, SOURCES[index] as string)),
  );
  console.table(reports);

  title("3. An error keeps its code and its TypeScript line");
  const [first] = contexts as [Context, ...Context[]];
  try {
    await first.call(readSettings, "/etc/no-such-settings");
  } catch (error) {
    if (!(error instanceof CallError)) throw error;
    console.log(`code ${error.code}: ${error.message}`);
    console.log(
      error.stack
        ?.split("\n")
        .filter((line) => /tasks\.ts|\[local|main\.ts/.test(line))
        .join("\n"),
    );
  }

  title("4. One hangs in an endless loop. The others answer; the hung one is put down");
  const outcome = first.call(hang).catch((error: Error) => error.message);
  console.log(`still answering: ${await (contexts[1] as Context).call(Date.now)}`);
  const stopping = performance.now();
  console.log(processTree());
  await first.shutdown();
  console.log(
    `put down in ${Math.round(performance.now() - stopping)} ms; its caller was told: ${await outcome}`,
  );

  const stats = router.getStats();
  await router.shutdown();
  const ms = Math.round(performance.now() - started);
  title(
    `Done: ${stats.connectCount} contexts, ${stats.moduleCount} modules (${kib(stats.moduleBytes)} compressed), ${kib(stats.bytesSent)} sent, ${kib(stats.bytesReceived)} received, ${ms} ms`,
  );
}

/**
 * This program and its contexts, as the system's own tool shows them; the shells between them wait for their
 * exit.
 */
function processTree(): string {
  try {
    const [title, ...lines] = execFileSync("ps", ["-eo", "pid,ppid,pcpu,args", "--forest"], {
      encoding: "utf8",
    }).split("\n");
    const own = new Set([process.pid]);
    const ownLines = lines.filter((line) => {
      const [pid, parentPid] = line.trim().split(/\s+/, 2).map(Number) as [number, number];
      // Parents come before their children.
      if (own.has(parentPid)) own.add(pid);
      return own.has(pid) && !/ps -eo|esbuild/.test(line);
    });
    return [title, ...ownLines.map((line) => line.slice(0, 100))].join("\n");
  } catch {
    return "(ps is not installed here)";
  }
}

function kib(bytes: number): string {
  return `${(bytes / 1024).toFixed(1)} KiB`;
}

logToFile();
await runWithRouter(main);
