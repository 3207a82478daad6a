/** The payload's entry, evaluated twice in a child: in the main thread and in its broker thread. */

import { writeSync } from "node:fs";
import { MessageChannel, type MessagePort, parentPort, workerData } from "node:worker_threads";
import { formatReady } from "../bootstrap/ready.ts";
import { newThreadState, raise, Word } from "../links/thread-state.ts";
import { checkResources, replaceStdio } from "./boot.ts";
import { BrokerLink } from "./broker-link.ts";
import { BrokerThread } from "./broker-thread.ts";
import { type FirstFrames, takeFirstFrames } from "./first-frames.ts";
import { MainThread, startBrokerThread } from "./main-thread.ts";
import { TRANSPORT_OUT } from "./shared-state.ts";

interface ThreadContextData {
  readonly port: MessagePort;
  readonly words: Int32Array;
}

/** What stage 1 hands over; absent in other threads: docs/bootstrap.md#stage-1. */
/** The payload's JavaScript, to be evaluated again in the broker thread. */
declare const source: string | undefined;
/** The same compressed, kept to boot children of this child. */
declare const payload: Uint8Array;
/** Starts every marker of this connection. */
declare const nonce: string;

if (source !== undefined) bootMainThread(source);
else if ("payload" in workerData) {
  raise(workerData.words, Word.RUNS);
  (parentPort as MessagePort).once("message", (first: FirstFrames) => new BrokerThread(workerData, first));
} else bootThreadContext(workerData as ThreadContextData);

/** A context that is a thread: its broker is the router that started it. */
function bootThreadContext({ port, words }: ThreadContextData): void {
  hideModuleWarning();
  new MainThread(new BrokerLink(port, words));
}

function bootMainThread(given: string): void {
  // What user code sees of its command line says nothing of how it came here.
  process.argv.length = 1;
  process.execArgv = [];
  hideModuleWarning();
  checkResources();
  replaceStdio();
  const words = newThreadState();
  const { port1, port2 } = new MessageChannel();
  const worker = startBrokerThread({ words, source: given, payload, port: port2 }, [port2]);
  const link = new BrokerLink(port1, words);
  new MainThread(link, { nonce, worker });
  takeFirstFrames(worker, link);
  // The parent may send from now on.
  writeSync(TRANSPORT_OUT, formatReady(nonce));
}

/** The warning that vm modules are experimental is about us, not about the user's code. */
function hideModuleWarning(): void {
  const { emitWarning } = process;
  process.emitWarning = ((warning: unknown, ...rest: unknown[]) => {
    if (rest[0] === "ExperimentalWarning" && /VM Modules|vm\.\w*Module/i.test(String(warning))) return;
    Reflect.apply(emitWarning, process, [warning, ...rest]);
  }) as typeof process.emitWarning;
}
