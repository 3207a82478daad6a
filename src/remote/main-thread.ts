import { builtinModules } from "node:module";
import { type MessagePort, Worker } from "node:worker_threads";
import { Dispatcher } from "../calls/dispatcher.ts";
import { callErrorFrom } from "../core/call-error.ts";
import { addLogSink, getLogger, LogLevel } from "../core/log.ts";
import { Message } from "../core/message.ts";
import { hasParentAuthority } from "../core/policy.ts";
import { CoreRouter } from "../core/router.ts";
import { Word } from "../core/thread-state.ts";
import { API, builtinExports } from "../loader/builtins.ts";
import { Importer } from "../loader/importer.ts";
import { decodeValue } from "../wire/decoder.ts";
import { type Frame, joinBody } from "../wire/frame.ts";
import { Handle } from "../wire/handles.ts";
import { stackOf } from "../wire/thrown.ts";
import { BrokerLink } from "./broker-link.ts";
import { evaluatePart } from "./library-parts.ts";
import { captureOutput, installOutput } from "./output.ts";
import type { ChildConfig } from "./shared-state.ts";

/** How long a process that ends by itself waits for its last words to be sent. */
const EXIT_FLUSH_MS = 2000;
const MASTER = 0;

/**
 * The main thread of a child, where user code runs: receives calls, evaluates modules, and nothing else.
 */
export class MainThread {
  /** `nonce` is that of the connection; a thread has none. */
  constructor(port: MessagePort, words: Int32Array, nonce?: string) {
    const link = new BrokerLink(port, words);
    // The broker thread sends the configuration first; start() takes the link over.
    link.open({ onFrame: (frame) => this.start(link, frame, nonce), onClosed: () => undefined });
    port.on("message", (bytes: Uint8Array) => link.receive(bytes));
  }

  private start(link: BrokerLink, frame: Frame, nonce: string | undefined): void {
    hideCommandLine();
    const config = decodeValue(joinBody(frame)) as ChildConfig;
    const router = new CoreRouter(undefined, config);
    const sendRecords = (records: unknown[]): void => {
      const to = { dstId: MASTER, handle: Handle.FORWARD_LOG };
      router.route(Message.to(router, to, { value: records }));
    };
    forwardLogs(sendRecords, config);
    // [context id, reason]: one that something was sent to is gone.
    router.addHandler(
      (message) => {
        const [contextId, reason] = message.decode() as [number, string];
        router.delRoutes([contextId], reason);
      },
      { handle: Handle.DEL_ROUTE, policy: hasParentAuthority, service: true },
    );
    if (config.isThread === true) {
      captureOutput((name, lines) => {
        if (config.logLevel < LogLevel.info) return;
        const time = Date.now();
        sendRecords(lines.map((line) => [name, LogLevel.info, line, time]));
      });
      // It has no broker thread to answer, or to end it.
      router.addHandler((message) => message.reply(null), { handle: Handle.PING, service: true });
      router.addHandler(() => process.exit(), {
        handle: Handle.SHUTDOWN,
        policy: hasParentAuthority,
        service: true,
      });
    } else {
      process.title = `mitogen:${config.remoteName}`;
      link.writeDirectlyTo(config.parentIds);
      installOutput(link);
    }
    reportExit(link);
    const importer = new Importer(router, link, evaluatePart);
    importer.host = { router, importer, dispatcher: new Dispatcher(router, importer), config, link, nonce };
    acceptServiceCalls(router, importer);
    router.attach(link, config.contextId, "outer");
  }
}

/** Services are in the part `mitogen:api`; once needed, a pool takes the handle over. Until then only those above may have it loaded. */
function acceptServiceCalls(router: CoreRouter, importer: Importer): void {
  let turn = Promise.resolve();
  router.addHandler(
    (message) => {
      turn = turn
        .then(() => importer.load({ module: API, path: ["acceptServiceCall"] }))
        .then(({ fn }) => void fn(message))
        .catch((error) => message.reply(callErrorFrom(error)));
    },
    { handle: Handle.CALL_SERVICE, policy: hasParentAuthority, service: true },
  );
}

/** Starts the broker thread beside this one, which does nothing until {@link Word.REPLACED} is set. It ends the process when it fails, and when the parent is lost. */
export function startBrokerThread(source: string, workerData: object, transferList: MessagePort[]): Worker {
  const wait = `Atomics.wait(require("worker_threads").workerData.words,${Word.REPLACED},0)`;
  const worker = new Worker(`${wait};${source}\n(require)`, {
    // What passes is not on V8's heap: it is collected with what little is, so that has to be often.
    resourceLimits: { maxYoungGenerationSizeMb: 2 },
    eval: true,
    workerData,
    transferList,
    stdin: false,
    stdout: false,
    stderr: false,
  });
  worker.on("error", (error) => {
    process.stderr.write(`mitogen: the broker thread failed: ${error?.stack}\n`);
    process.kill(process.pid, "SIGKILL");
  });
  return worker;
}

/** A program on a command line has globals that no other has; a module that looks for them would take itself for CommonJS. */
function hideCommandLine(): void {
  for (const name of ["require", "exports", "__filename", "__dirname", ...builtinModules]) {
    const found = Object.getOwnPropertyDescriptor(globalThis, name);
    if (found === undefined || name === "process" || name === "console") continue;
    Reflect.deleteProperty(globalThis, name);
    // The Web Crypto API is everybody's, where it was hidden behind the module of that name.
    if (name !== "crypto" || found.enumerable !== true) continue;
    const get = (): unknown => (builtinExports(name) as { webcrypto: unknown }).webcrypto;
    Object.defineProperty(globalThis, name, { get, configurable: true, enumerable: true });
  }
}

function forwardLogs(sendRecords: (records: unknown[]) => void, config: ChildConfig): void {
  addLogSink((record) => {
    // Records about frames would make frames.
    if (record.level !== "io")
      sendRecords([[record.logger, LogLevel[record.level], record.message, record.time]]);
  }, config.logLevel);
}

/** Whatever ends this process from inside, the parent hears of it, with the reason, before the pipes close. */
function reportExit(link: BrokerLink): void {
  const log = getLogger("mitogen.child");
  let reason: string | undefined;
  process.on("uncaughtExceptionMonitor" as "uncaughtException", (error) => {
    const stack = stackOf(error);
    reason = `uncaught exception: ${stack.split("\n", 1)[0]}`;
    log.error(`Uncaught exception: ${stack}`);
  });
  // Before Node 15 a rejection nobody handled was only warned about; here it ends the process everywhere.
  if (Number.parseInt(process.versions.node, 10) < 15) {
    process.on("unhandledRejection", (error) => {
      throw error;
    });
  }
  process.on("exit", (code) => {
    link.flushBeforeExit(reason ?? `the process exited with code ${code}`, EXIT_FLUSH_MS);
  });
}
