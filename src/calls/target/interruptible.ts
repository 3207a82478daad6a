import { attempt, read } from "../../wire/values/thrown.ts";
import { type RunningCall, runningCall } from "./current-call.ts";

type MakeIterator = (this: object) => AsyncIterator<unknown>;

/** Returns a module of Node, like `require`. */
export type Builtin = (id: string) => unknown;

/** A stream, or readline's Interface. */
interface Source {
  once(event: "close", fn: () => void): unknown;
  destroy?(reason: unknown): unknown;
  close?(): unknown;
}

let isInstalled = false;

/**
 * Lets a call be ended while it waits in `for await` for a Node stream or for lines of readline. `end` closes
 * what it waits for, as leaving that loop would. A generator itself cannot be interrupted while it waits.
 */
export function makeInterruptible(call: RunningCall, builtin: Builtin): { end(): void; forget(): void } {
  // If user code has frozen these objects, waits cannot be recorded.
  if (!isInstalled) attempt(() => install(builtin));
  isInstalled = true;
  const waits = new Set<() => void>();
  call.waits = waits;
  const forget = (): void => {
    call.waits = undefined;
  };
  return {
    forget,
    end() {
      forget();
      // Errors of closing it are ignored.
      for (const end of waits) attempt(end);
    },
  };
}

/** Records what calls iterate over. Nothing changes for other code. */
function install(builtin: Builtin): void {
  const { Readable } = builtin("stream") as { Readable: { prototype: object } };
  const { Interface } = builtin("readline") as { Interface: { prototype: object } };
  noteIterationOf(Readable.prototype, (stream, reason) => stream.destroy?.(reason));
  noteIterationOf(Interface.prototype, (lines) => lines.close?.());
}

function noteIterationOf(prototype: object, end: (source: Source, reason: unknown) => void): void {
  const original = read(prototype, Symbol.asyncIterator as never) as MakeIterator;
  function makeIterator(this: object): AsyncIterator<unknown> {
    const call = runningCall();
    const waits = call?.waits;
    if (call !== undefined && waits !== undefined) {
      const source = this as Source;
      const endWait = (): void => end(source, call.signal.reason);
      waits.add(endWait);
      source.once("close", () => waits.delete(endWait));
    }
    return original.call(this);
  }
  Object.defineProperty(prototype, Symbol.asyncIterator, {
    value: makeIterator,
    writable: true,
    configurable: true,
    enumerable: false,
  });
}
