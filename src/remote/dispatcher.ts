import { callErrorFrom } from "../core/call-error.ts";
import { getLogger } from "../core/log.ts";
import type { Message } from "../core/message.ts";
import { hasParentAuthority } from "../core/policy.ts";
import type { CoreRouter, FunctionName } from "../core/router.ts";
import { CallError, ProtocolError } from "../errors.ts";
import { API } from "../loader/builtins.ts";
import type { Importer } from "../loader/importer.ts";
import { Handle } from "../wire/handles.ts";

type AnyFunction = (...args: unknown[]) => unknown;

interface Call {
  readonly message: Message;
  readonly name: FunctionName;
  readonly args: unknown[];
}

const log = getLogger("mitogen.child");

/**
 * Runs the functions others call here. Calls start in the order they arrived: one whose modules are being evaluated holds up
 * those behind it, one that has started does not.
 */
export class Dispatcher {
  readonly #importer: Importer;
  readonly #waiting: Call[] = [];
  #isLoading = false;

  constructor(router: CoreRouter, importer: Importer) {
    this.#importer = importer;
    // Running code is what authority is for: a sibling, or a child of this context, may not.
    router.addHandler((message) => this.receive(message), {
      handle: Handle.CALL_FUNCTION,
      policy: hasParentAuthority,
      service: true,
    });
    // Services are in the part `mitogen:api`; once needed, a pool takes the handle over. Until then only those above may have it loaded.
    let turn = Promise.resolve();
    router.addHandler(
      (message) => {
        turn = turn
          .then(() => importer.load({ module: API, path: ["acceptServiceCall"] }))
          .then(({ fn }) => void fn(message))
          .catch((error) => answerError(message, error, "a service"));
      },
      { handle: Handle.CALL_SERVICE, policy: hasParentAuthority, service: true },
    );
  }

  private receive(message: Message): void {
    let call: Call;
    try {
      call = parseCall(message);
    } catch (error) {
      answerError(message, error, "a malformed call");
      return;
    }
    if (this.#isLoading) this.#waiting.push(call);
    else this.start(call);
  }

  private start(call: Call): void {
    const target = this.#importer.lookUp(call.name);
    if (target !== undefined) {
      run(call, target);
      return;
    }
    this.#isLoading = true;
    void this.#importer
      .load(call.name)
      .then(
        (loaded) => run(call, loaded),
        (error) => answerError(call.message, error, printName(call.name)),
      )
      .then(() => {
        this.#isLoading = false;
        while (!this.#isLoading) {
          const next = this.#waiting.shift();
          if (next === undefined) break;
          this.start(next);
        }
      });
  }
}

function parseCall(message: Message): Call {
  const [, module, path, args] = message.decode() as [unknown, string, string[], unknown[]];
  if (typeof module !== "string" || !Array.isArray(path) || !Array.isArray(args)) {
    throw new ProtocolError("Cannot run call: it must be [chain, module, path, arguments]");
  }
  return { message, name: { module, path }, args };
}

function run(call: Call, target: { fn: AnyFunction; receiver: unknown }): void {
  const { message, name } = call;
  let value: unknown;
  try {
    value = target.fn.apply(target.receiver, call.args);
    if (!isThenable(value)) {
      answer(message, name, value);
      return;
    }
  } catch (error) {
    answerError(message, error, printName(name));
    return;
  }
  Promise.resolve(value).then(
    (settled) => answer(message, name, settled),
    (error) => answerError(message, error, printName(name)),
  );
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return (typeof value === "object" || typeof value === "function") && value !== null && "then" in value;
}

function answer(message: Message, name: FunctionName, value: unknown): void {
  try {
    message.reply(value);
  } catch (error) {
    // It cannot travel: the caller is told, the context lives on.
    answerError(message, error, printName(name));
  }
}

function answerError(message: Message, error: unknown, what: string): void {
  const callError = error instanceof CallError ? error : callErrorFrom(error);
  if (message.replyTo === 0) log.error(`Call of ${what} failed: ${callError.stack}`);
  else message.reply(callError);
}

function printName(name: FunctionName): string {
  return `${name.path.join(".") || "default"} of ${name.module}`;
}
