#!/usr/bin/env node
/** The program `mitogen`. */
import { onAbort } from "../../waiting/wait.ts";
import { ExitStatus } from "../exit-status.ts";
import { Terminal } from "../screen/terminal.ts";
import { runCommandLine } from "./command-line.ts";
import { stopOnSignals } from "./signals.ts";

const signals = stopOnSignals();
const out = new Terminal(process.stdout, process.stderr, process.env, signals.stop);
// stdout is for results only. What a configuration prints goes elsewhere, because it would damage JSON.
globalThis.console = new console.Console(process.stderr);

/** How long an interrupted program waits for a reader of stdout that has stopped reading. */
const UNREAD_GRACE_MS = 1000;

function givenUp(): Promise<void> {
  return new Promise((resolve) => {
    onAbort(signals.signal, () => setTimeout(resolve, UNREAD_GRACE_MS));
  });
}

async function main(): Promise<void> {
  const status = await runCommandLine(process.argv.slice(2), out, signals);
  await Promise.race([out.flush(), givenUp()]);
  const isUnknown = out.hasFailed && (status === ExitStatus.Ok || status === ExitStatus.SomeUnreachable);
  // Things that a configuration or a task's module left running do not keep the program alive.
  signals.exit(isUnknown ? ExitStatus.SomeFailed : status);
}

void main();
