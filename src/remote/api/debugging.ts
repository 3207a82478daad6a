import type { Call, Dispatcher, Outcome } from "../../calls/target/dispatcher.ts";
import type { CoreRouter } from "../../core/router.ts";
import { CpuProfile } from "../../diagnostics/cpu-profile.ts";
import { DebugFile } from "../../diagnostics/debug-file.ts";
import { dumpOnSignal, dumpProcess } from "../../diagnostics/dump.ts";
import { printFunction } from "../../functions/print-function.ts";
import { API, builtinExports } from "../../loader/builtins.ts";
import { getLogger } from "../../logging/log.ts";
import { printServices } from "../../service/router-services.ts";
import { bodyLength } from "../../wire/frame.ts";
import type { ChildConfig } from "../shared-state.ts";

const log = getLogger("mitogen.debug");
const ioLog = getLogger("mitogen.io");

/**
 * The functions that the master calls in a context that it debugs or profiles:
 * src/diagnostics/diagnostics.ts.
 */
export function debugging(
  router: CoreRouter,
  dispatcher: Dispatcher,
  config: ChildConfig,
): Record<string, unknown> {
  let file: DebugFile | undefined;
  let profile: CpuProfile | undefined;
  return {
    /**
     * Writes all log records to a file from now on, and returns the file's path. `stack` is the place in the
     * program that asked for it.
     */
    enableDebug(stack: string): string {
      if (file === undefined) {
        const isThread = config.isThread === true;
        file = new DebugFile(isThread ? process.pid : process.ppid, stack);
        traceFrames(router);
        traceCalls(dispatcher);
        // A thread gets no signals; they are for the process.
        if (!isThread) dumpOnSignal(() => log.warning(dump(router, dispatcher)));
        log.info(`Writing a debug log to ${file.path}`);
      }
      return file.path;
    },
    startProfile(): void {
      profile ??= new CpuProfile(builtinExports("inspector") as never);
    },
    /** Returns the text of a `.cpuprofile` file, empty if no profile was started. */
    stopProfile(): string {
      const stopped = profile?.stop() ?? "";
      profile = undefined;
      return stopped;
    },
  };
}

/** Logs frames from now on, but no bodies, because they may hold secrets. */
function traceFrames(router: CoreRouter): void {
  const { routeFrame } = router;
  router.routeFrame = (frame, from) => {
    const { srcId, dstId, handle, replyTo } = frame;
    ioLog.io(
      `${from === undefined ? "sends" : "received"} ${bodyLength(frame)} bytes ${srcId}:${replyTo} -> ${dstId}:${handle}`,
    );
    routeFrame.call(router, frame, from);
  };
}

/** Logs calls from now on: their names, never arguments or values. */
function traceCalls(dispatcher: Dispatcher): void {
  const { around } = dispatcher;
  dispatcher.around = (call, perform) =>
    around(call, (refusal) => {
      const name = `${printRunning(call)} for context ${call.message.srcId}`;
      const started = Date.now();
      const trace = (outcome: Outcome): Outcome => {
        const how = outcome === undefined ? "returned" : `failed with ${outcome.code}`;
        log.debug(`${name}: ${how} after ${Date.now() - started} ms`);
        return outcome;
      };
      log.debug(`${name}: runs`);
      const outcome = perform(refusal);
      return outcome instanceof Promise ? outcome.then(trace) : trace(outcome);
    });
}

function dump(router: CoreRouter, { calls }: Dispatcher): string {
  return [
    ...dumpProcess(router),
    printServices(router),
    `calls under way here: ${calls.size}`,
    ...[...calls].map((call) => `  ${printRunning(call)} for context ${call.message.srcId}`),
  ].join("\n");
}

function printRunning({ name, args }: Call): string {
  const isStream = name.module === API && name.path[0] === "runStream";
  return printFunction(isStream ? { module: args[0] as string, path: args[1] as string[] } : name);
}
