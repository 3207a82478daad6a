/** The payload's entry. A child evaluates it twice: in its main thread and in its broker thread. */

import { writeSync } from "node:fs";
import { MessageChannel, type MessagePort, parentPort, workerData } from "node:worker_threads";
import { formatReady } from "../bootstrap/ready.ts";
import { newThreadState, raise, Word } from "../links/thread-state.ts";
import { checkResources, replaceStdio } from "./boot.ts";
import { writeFailure } from "./broker-failure.ts";
import { BrokerLink } from "./broker-link.ts";
import { BrokerThread } from "./broker-thread.ts";
import { type FirstFrames, takeFirstFrames } from "./first-frames.ts";
import { MainThread, startBrokerThread } from "./main-thread.ts";
import { installOutput } from "./output.ts";
import { TRANSPORT_OUT } from "./shared-state.ts";

interface ThreadContextData {
  readonly port: MessagePort;
  readonly words: Int32Array;
}

/** The variables that stage 1 defines; absent in other threads: docs/bootstrap.md#stage-1. */
/** The payload's JavaScript, which is evaluated again in the broker thread. */
declare const source: string | undefined;
/** The compressed payload, which is kept to start children of this child. */
declare const payload: Uint8Array;
/** The beginning of every marker of this connection. */
declare const nonce: string;

if (source !== undefined) bootMainThread(source);
else if ("payload" in workerData) {
  raise(workerData.words, Word.RUNS);
  process.on("uncaughtExceptionMonitor" as "uncaughtException", (error) => writeFailure(workerData, error));
  (parentPort as MessagePort).once("message", (first: FirstFrames) => new BrokerThread(workerData, first));
} else bootThreadContext(workerData as ThreadContextData);

/** Starts a context that is a thread. Its broker is the router that started it. */
function bootThreadContext({ port, words }: ThreadContextData): void {
  hideModuleWarning();
  new MainThread(new BrokerLink(port, words));
}

function bootMainThread(given: string): void {
  // User code must not see how this process was started.
  process.argv.length = 1;
  process.execArgv = [];
  hideModuleWarning();
  checkResources();
  replaceStdio();
  const words = newThreadState();
  const { port1, port2 } = new MessageChannel();
  const link = new BrokerLink(port1, words);
  // Before the thread, because Node's Worker uses process.stdout.
  installOutput(link);
  const worker = startBrokerThread({ words, nonce, source: given, payload, port: port2 }, [port2]);
  new MainThread(link, { nonce, worker, words });
  takeFirstFrames(worker, link);
  // From now on the parent may send.
  writeSync(TRANSPORT_OUT, formatReady(nonce));
}

/**
 * Hides the warning that vm modules are experimental: it is about this library, not about the user's code.
 */
function hideModuleWarning(): void {
  const { emitWarning } = process;
  process.emitWarning = ((warning: unknown, ...rest: unknown[]) => {
    if (rest[0] === "ExperimentalWarning" && /VM Modules|vm\.\w*Module/i.test(String(warning))) return;
    Reflect.apply(emitWarning, process, [warning, ...rest]);
  }) as typeof process.emitWarning;
}
