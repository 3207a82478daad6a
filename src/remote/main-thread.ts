import { writeSync } from "node:fs";
import { type MessagePort, Worker, workerData } from "node:worker_threads";
import { BROKER_FAILED_CODE } from "../bootstrap/ready.ts";
import { Dispatcher } from "../calls/target/dispatcher.ts";
import { callErrorFrom } from "../core/call-error.ts";
import { Message } from "../core/message.ts";
import { hasParentAuthority } from "../core/policy.ts";
import { CoreRouter } from "../core/router.ts";
import { Word } from "../links/thread-state.ts";
import { API } from "../loader/builtins.ts";
import { Importer } from "../loader/evaluate/importer.ts";
import { addLogSink, getLogger, LogLevel } from "../logging/log.ts";
import { decodeValue } from "../wire/cbor/decoder.ts";
import { type Frame, joinBody } from "../wire/frame.ts";
import { Handle } from "../wire/handles.ts";
import { cut } from "../wire/values/error-value.ts";
import { stackOf } from "../wire/values/thrown.ts";
import { writeFailure } from "./broker-failure.ts";
import { BrokerLink } from "./broker-link.ts";
import { evaluatePart } from "./library-parts.ts";
import { type ChildConfig, type ThreadData, TRANSPORT_OUT } from "./shared-state.ts";

/** How long a process that ends by itself waits until its last messages have been sent. */
const EXIT_FLUSH_MS = 2000;
/** How long the start of the broker thread may take on a busy machine. */
const START_MS = 10_000;
const MASTER = 0;

/** The parts of a context that is a process. */
export interface OwnProcess {
  /** The nonce of the connection. */
  readonly nonce: string;
  /** The broker thread. */
  readonly worker: Worker;
  /** What the two threads share. */
  readonly words: Int32Array;
}

/**
 * The main thread of a child, where user code runs. It receives calls and evaluates modules, and does nothing
 * else.
 */
export class MainThread {
  /** `own` is given for a context that is a process, not for a thread. */
  constructor(link: BrokerLink, own?: OwnProcess) {
    // The configuration comes first. start() then takes the link over.
    link.open({ onFrame: (frame) => this.start(link, frame, own), onClosed: () => undefined });
  }

  private start(link: BrokerLink, frame: Frame, own: OwnProcess | undefined): void {
    const config = decodeValue(joinBody(frame)) as ChildConfig;
    const router = new CoreRouter(undefined, config);
    const toMaster = (records: unknown[]): void => {
      const to = { dstId: MASTER, handle: Handle.FORWARD_LOG };
      router.route(Message.to(router, to, { value: records }));
    };
    forwardLogs(toMaster, config);
    // [context id, reason]: a context, to which this one has sent something, is gone.
    router.addHandler(
      (message) => {
        const [contextId, reason] = message.decode() as [number, string];
        router.delRoutes([contextId], reason);
      },
      { handle: Handle.DEL_ROUTE, policy: hasParentAuthority, service: true },
    );
    if (own === undefined) {
      const { startThread } = evaluatePart(workerData.part) as typeof import("./thread-context.ts");
      startThread(router, config.logLevel, toMaster);
    } else {
      process.title = `mitogen:${config.remoteName}`;
      link.writeDirectlyTo(config.parentIds);
      own.worker.on("error", (error) => {
        // Until the broker thread runs, the descriptor belongs to this thread. Later it may be another file.
        if (Atomics.load(own.words, Word.RUNS) === 0) writeFailure(own, error);
        // process.exit() would wait for the broker thread.
        (process as unknown as { reallyExit(code: number): void }).reallyExit(BROKER_FAILED_CODE);
      });
    }
    reportExit(link);
    const importer = new Importer(router, link, evaluatePart);
    importer.host = {
      router,
      importer,
      dispatcher: new Dispatcher(router, importer),
      config,
      link,
      nonce: own?.nonce,
    };
    acceptServiceCalls(router, importer);
    router.attach(link, config.contextId, "outer");
  }
}

/**
 * Accepts the first service call. The code of services is in the part `mitogen:api`; a pool then takes the
 * handle over. Until then, only contexts above may cause it to be loaded.
 */
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

/**
 * Starts the broker thread, which first waits for the bytes that this thread has read from the parent.
 * `process.chdir` blocks until the broker thread runs, because a thread cannot start in a deleted directory.
 */
export function startBrokerThread(data: ThreadData, transferList: MessagePort[]): Worker {
  const { words } = data;
  const script = '(0,eval)(require("worker_threads").workerData.source)(require)';
  const { chdir } = process;
  process.chdir = (directory) => {
    Atomics.wait(words, Word.RUNS, 0, START_MS);
    chdir(directory);
  };
  try {
    return new Worker(script, {
      // Frames that pass are outside V8's heap. They are freed when V8 collects the few objects on its heap that
      // refer to them. So V8 must collect often.
      resourceLimits: { maxYoungGenerationSizeMb: 2 },
      eval: true,
      workerData: data,
      transferList,
    });
  } catch (error) {
    // Only the broker thread would read this process's stderr, so the text leaves over the transport.
    writeSync(TRANSPORT_OUT, `mitogen: the broker thread failed: ${stackOf(error)}\n`);
    return process.exit(1);
  }
}

function forwardLogs(toMaster: (records: unknown[]) => void, config: ChildConfig): void {
  addLogSink((record) => {
    // Records about frames would make more frames.
    if (record.level === "io") return;
    // A character takes at most three bytes, so the text fits into one message.
    const text = cut(record.message, config.maxMessageBytes >> 2);
    toMaster([[record.logger, LogLevel[record.level], text, record.time]]);
  }, config.logLevel);
}

/** Tells the parent why the process ends, before the pipes close. Covers every end from inside the process. */
function reportExit(link: BrokerLink): void {
  const log = getLogger("mitogen.child");
  let reason: string | undefined;
  process.on("uncaughtExceptionMonitor" as "uncaughtException", (error) => {
    const stack = stackOf(error);
    reason = `uncaught exception: ${stack.split("\n", 1)[0]}`;
    log.error(`Uncaught exception: ${stack}`);
  });
  // Before Node 15, an unhandled rejection only caused a warning. Here it ends the process in every version.
  if (Number.parseInt(process.versions.node, 10) < 15) {
    process.on("unhandledRejection", (error) => {
      throw error;
    });
  }
  process.on("exit", (code) => {
    link.flushBeforeExit(reason ?? `the process exited with code ${code}`, EXIT_FLUSH_MS);
  });
}
