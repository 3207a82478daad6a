import type { Command } from "../../commands/command.ts";
import type { RunResult } from "../../commands/command-run.ts";
import type { Run } from "../../commands/run.ts";
import type { RunOptions } from "../../commands/run-options.ts";
import { ProtocolError } from "../../errors.ts";
import { FLEET } from "../../functions/api-ref.ts";
import { FunctionRef } from "../../functions/callable.ts";
import { PieceSplitter } from "../../text/piece-splitter.ts";
import { Handle } from "../../wire/handles.ts";
import { read } from "../../wire/values/thrown.ts";
import type { Facts } from "./facts.ts";
import type { Work } from "./host-run.ts";

/** How long a host may take to send what it has printed, once its work is done. */
const FLUSH_MS = 10_000;

const GATHER_FACTS: FunctionRef<readonly [], unknown> = new FunctionRef(FLEET, ["gatherFacts"]);

/** Calls a function. */
export function callWork(
  fn: FunctionRef | ((...args: never[]) => unknown),
  args: readonly unknown[],
): Work<unknown> {
  return withLastLines((context, _host, { signal }) =>
    context.with({ signal }).call(fn as never, ...(args as never[])),
  );
}

/**
 * The same work, with all that it prints: a context keeps a line that has no newline yet. It would be missing here, and
 * begin the output of the next work.
 */
export function withLastLines<T>(work: Work<T>): Work<T> {
  return async (context, host, tools) => {
    try {
      return await work(context, host, tools);
    } finally {
      const { signal } = tools;
      // A context that is gone has sent everything, or never will. The work's own result counts.
      if (!signal.aborted)
        await context.request(Handle.PING, "flush", { signal, timeoutMs: FLUSH_MS }).catch(() => undefined);
    }
  };
}

/** Runs a command. `run` is this library's. */
export function execWork(run: Run, command: Command, options: RunOptions): Work<RunResult> {
  return async (context, _host, { signal, emit }) => {
    const [onStdout, onStderr] = (["stdout", "stderr"] as const).map((stream) => {
      let told: Promise<void>[] = [];
      const splitter = new PieceSplitter((lines) => {
        for (const text of lines) {
          const wait = emit({ type: "output", stream, text });
          if (wait instanceof Promise) told.push(wait);
        }
      });
      // The command waits for the reader of its output.
      const take = (text: string): Promise<unknown> | undefined => {
        told = [];
        splitter.take(Buffer.from(text));
        return told.length > 0 ? Promise.all(told) : undefined;
      };
      return Object.assign(take, { flush: () => splitter.flush() });
    }) as [Taker, Taker];
    try {
      return await run(context, command, { ...options, encoding: "utf8", signal, onStdout, onStderr });
    } finally {
      onStdout.flush();
      onStderr.flush();
    }
  };
}

interface Taker {
  (text: string): Promise<unknown> | undefined;
  flush(): void;
}

/** Asks for a sign of life. */
export const pingWork: Work<number> = (context, _host, { signal }) => context.ping({ signal });

/** Gathers facts. */
export const factsWork: Work<Facts> = async (context, host, { signal }) =>
  readFacts(host.name, await context.with({ signal }).call(GATHER_FACTS));

const MAX_TEXT = 1000;

/** Checks what a host claims, and takes nothing else from it. */
function readFacts(host: string, value: unknown): Facts {
  const refuse = (): ProtocolError =>
    new ProtocolError(`Cannot gather the facts of ${host}: its answer is malformed`);
  const text = (name: string, from: unknown = value): string => {
    const given = read(Object(from), name);
    if (typeof given !== "string" || given.length > MAX_TEXT) throw refuse();
    return given;
  };
  const number = (name: string, from: unknown = value): number => {
    const given = read(Object(from), name);
    if (typeof given !== "number") throw refuse();
    return given;
  };
  const os = read(Object(value), "os");
  const load = read(Object(value), "load");
  return {
    hostname: text("hostname"),
    platform: text("platform"),
    arch: text("arch"),
    kernel: text("kernel"),
    os: { id: text("id", os), version: text("version", os), name: text("name", os) },
    cpus: number("cpus"),
    totalMemoryBytes: number("totalMemoryBytes"),
    freeMemoryBytes: number("freeMemoryBytes"),
    load: [number("0", load), number("1", load), number("2", load)],
    uptimeSeconds: number("uptimeSeconds"),
    nodeVersion: text("nodeVersion"),
    user: text("user"),
  };
}
