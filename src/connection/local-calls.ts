import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import { callErrorFrom } from "../core/call-error.ts";
import { getLogger } from "../core/log.ts";
import type { Message } from "../core/message.ts";
import { hasParentAuthority } from "../core/policy.ts";
import type { CoreRouter, FunctionName } from "../core/router.ts";
import { CallError, ProtocolError } from "../errors.ts";
import { API, isBuiltin } from "../loader/builtins.ts";
import { findFunction } from "../loader/importer.ts";
import { Handle } from "../wire/handles.ts";

type Target = ReturnType<typeof findFunction>;

interface Call {
  readonly name: FunctionName;
  readonly args: unknown[];
  /** Its caller wants to know that it is over, nothing more: a failure is logged here. */
  readonly isQuiet: boolean;
}

const log = getLogger("mitogen.calls");
const MALFORMED: FunctionName = { module: "a malformed message", path: ["?"] };
const require = createRequire(import.meta.url);

/**
 * Runs functions of this program for those who have its own authority: programs that have connected to a listener. They name modules by
 * file, of this machine, and could run them themselves. Calls start in the order they arrived. Returns what ends it.
 */
export function acceptCalls(router: CoreRouter): () => void {
  let turn: Promise<unknown> = Promise.resolve();
  const options = { policy: hasParentAuthority, service: true };
  const handles = [
    router.addHandler(
      (message) => {
        turn = turn.then(() => start(message));
      },
      { handle: Handle.CALL_FUNCTION, ...options },
    ),
    router.addHandler((message) => message.reply(null), { handle: Handle.PING, ...options }),
  ];
  return () => {
    for (const handle of handles) router.delHandler(handle);
  };
}

/** Resolves when the function has been started; never rejects. */
async function start(message: Message): Promise<void> {
  let call: Call | undefined;
  try {
    call = parseCall(message);
    const { args } = call;
    const { fn, receiver } = await find(call.name);
    void finish(message, call, async () => fn.apply(receiver, args));
  } catch (error) {
    fail(message, call, error);
  }
}

async function finish(message: Message, call: Call, run: () => Promise<unknown>): Promise<void> {
  try {
    const value = await run();
    message.reply(call.isQuiet ? null : value);
  } catch (error) {
    fail(message, call, error);
  }
}

function fail(message: Message, call: Call | undefined, error: unknown): void {
  const callError = error instanceof CallError ? error : callErrorFrom(error);
  const isQuiet = call?.isQuiet === true || message.replyTo === 0;
  if (isQuiet) {
    const { path, module } = call?.name ?? MALFORMED;
    log.error(`Call of ${path.join(".")} of ${module} failed: ${callError.stack}`);
  }
  message.reply(isQuiet ? null : callError);
}

function parseCall(message: Message): Call {
  const value = message.decode();
  const [chain, module, path, args, isQuiet] = Array.isArray(value) ? value : [];
  if (typeof module !== "string" || !Array.isArray(path) || !Array.isArray(args)) {
    throw new ProtocolError("Cannot run call: it must be [chain, module, path, arguments]");
  }
  if (chain !== null) throw new ProtocolError("Cannot run call: a listening program takes no chains");
  return { name: { module, path }, args, isQuiet: isQuiet === true };
}

async function find(name: FunctionName): Promise<Target> {
  const { module } = name;
  if (module === API) {
    throw new TypeError("Cannot run call: a listening program takes calls, no stream() or import()");
  }
  if (module === "global") return findFunction(globalThis, name);
  if (isBuiltin(module)) return findFunction(require(module), name);
  if (!module.startsWith("file:")) throw new TypeError(`Cannot call a function of ${module}: it is no file`);
  const namespace: unknown = await import(module);
  // The path to a function of CommonJS starts at `module.exports`.
  const loaded = require.cache[fileURLToPath(module)];
  return findFunction(loaded === undefined ? namespace : loaded.exports, name);
}
