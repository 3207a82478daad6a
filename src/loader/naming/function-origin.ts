import type { Session } from "node:inspector";
import type { AnyFunction } from "../../functions/overloads.ts";
import { read } from "../../wire/values/thrown.ts";
import { ownRequire } from "../own-require.ts";

/** Where a function was written, according to V8, and which variables it sees. */
export interface FunctionOrigin {
  /** Absent for native and bound functions and for proxies. */
  readonly scriptId: string | undefined;
  /** Zero-based, in the source that V8 compiled. */
  readonly line: number;
  readonly column: number;
  readonly isBound: boolean;
  /** Innermost first, without the global scope. */
  readonly scopes: readonly FunctionScope[];
}

export interface FunctionScope {
  readonly isModule: boolean;
  /**
   * A copy of the variables' current values. Uninitialised variables are missing or undefined; from Node 22 on,
   * reading one may throw.
   */
  readonly bindings: Readonly<Record<string, unknown>>;
}

/** An answer of the inspector, as its protocol describes. Each use reads only the field that it needs. */
// biome-ignore lint/suspicious/noExplicitAny: said above
type Answer = any;
type Post = (method: string, params?: object) => Answer;

interface RemoteProperty {
  readonly name: string;
  readonly value?: { readonly value?: Answer; readonly objectId?: string; readonly description?: string };
}

const HOLDER = Symbol.for("mitogen.function-origin");
const urls = new Map<string, string>();
const uncounted = new Set<string>();
let lastSource: { readonly scriptId: string; readonly text: string } | undefined;

/** Asks V8's inspector where a function was written. In its own process, `post` returns after the answer has come. */
export function functionOrigin(fn: AnyFunction): FunctionOrigin {
  return withSession((post, session) => {
    const holder: { fn: AnyFunction; scopes: unknown[] } = { fn, scopes: [] };
    const holderId = remoteObject(post, session, holder);
    const target = post("Runtime.callFunctionOn", {
      objectId: holderId,
      functionDeclaration: "function () { return this.fn; }",
    }).result;
    const { internalProperties = [] }: { internalProperties?: RemoteProperty[] } = post(
      "Runtime.getProperties",
      {
        objectId: target.objectId,
        ownProperties: true,
      },
    );
    const internal = (name: string) => internalProperties.find((property) => property.name === name)?.value;
    const location = internal("[[FunctionLocation]]")?.value;
    const kinds: boolean[] = [];
    const scopesId = internal("[[Scopes]]")?.objectId;
    if (scopesId !== undefined) {
      const entries: RemoteProperty[] = post("Runtime.getProperties", {
        objectId: scopesId,
        ownProperties: true,
      }).result;
      const wanted = entries.filter((entry) => entry.value?.objectId && entry.value.description !== "Global");
      for (const entry of wanted) kinds.push(entry.value?.description === "Module");
      // Fetches the scope objects themselves, so that everything else is ordinary code on ordinary objects.
      post("Runtime.callFunctionOn", {
        objectId: holderId,
        functionDeclaration: "function (...scopes) { this.scopes = scopes.map((scope) => scope.object); }",
        arguments: wanted.map((entry) => ({ objectId: entry.value?.objectId })),
      });
    }
    return {
      scriptId: location?.scriptId,
      line: location?.lineNumber ?? 0,
      column: location?.columnNumber ?? 0,
      isBound: internal("[[TargetFunction]]") !== undefined,
      scopes: kinds.map((isModule, i) => ({
        isModule,
        bindings: (holder.scopes[i] ?? {}) as Record<string, unknown>,
      })),
    };
  });
}

/** The functions among the variables that a function sees, without those of its module. */
export function capturedFunctions(origin: FunctionOrigin): AnyFunction[] {
  return origin.scopes
    .filter((scope) => !scope.isModule)
    .flatMap(({ bindings }) => Object.getOwnPropertyNames(bindings).map((name) => read(bindings, name)))
    .filter((value): value is AnyFunction => typeof value === "function");
}

/** Returns the URL of the script that holds a function. Empty if the script has none, or the function has no script. */
export function originUrl(origin: FunctionOrigin): string {
  if (origin.scriptId === undefined) return "";
  const likely = likelyUrl(origin);
  if (likely !== undefined) return likely;
  learnAllUrls();
  const url = urls.get(origin.scriptId) ?? "";
  urls.set(origin.scriptId, url);
  return url;
}

/**
 * Returns the same, but undefined if only a much slower way would find the URL: that of a script with no function
 * that V8 counts.
 */
export function likelyUrl({ scriptId }: FunctionOrigin): string | undefined {
  if (scriptId === undefined) return "";
  if (urls.has(scriptId) || uncounted.has(scriptId)) return urls.get(scriptId);
  learnUrlsOnStack();
  if (!urls.has(scriptId)) learnLoadedUrls();
  if (!urls.has(scriptId)) uncounted.add(scriptId);
  return urls.get(scriptId);
}

/** Learns the URLs of all loaded scripts. Takes a few milliseconds, more in a large heap. */
function learnLoadedUrls(): void {
  // Switching the profiler off would end the block coverage that c8 or `node --test` collect through it.
  if (collectsCoverage()) return;
  withSession((post) => {
    post("Profiler.enable");
    try {
      for (const script of post("Profiler.getBestEffortCoverage").result)
        urls.set(script.scriptId, script.url);
    } finally {
      post("Profiler.disable");
    }
  });
}

/**
 * Returns the text that V8 compiled, which under tsx is on no disk. Takes tens of milliseconds, so it is the last
 * resort.
 */
export function scriptSource(scriptId: string): string {
  if (lastSource?.scriptId === scriptId) return lastSource.text;
  const text: string = withSession((post) => {
    post("Debugger.enable");
    try {
      return post("Debugger.getScriptSource", { scriptId }).scriptSource;
    } finally {
      post("Debugger.disable");
    }
  });
  lastSource = { scriptId, text };
  return text;
}

/**
 * Learns the URLs of the scripts on the stack, in a fraction of a millisecond. Calls are often made in the
 * file that holds the function.
 */
export function learnUrlsOnStack(): void {
  withSession((post) => {
    post("Runtime.enable");
    const { exceptionDetails } = post("Runtime.evaluate", { expression: "throw 0", silent: true });
    for (const { scriptId, url } of exceptionDetails?.stackTrace?.callFrames ?? []) urls.set(scriptId, url);
  });
}

/** Learns all URLs through the debugger. Takes ten times as long as {@link learnLoadedUrls}. */
function learnAllUrls(): void {
  withSession((post, session) => {
    session.on("Debugger.scriptParsed", ({ params }) => urls.set(params.scriptId, params.url));
    post("Debugger.enable");
    post("Debugger.disable");
  });
}

function collectsCoverage(): boolean {
  return Boolean(process.env.NODE_V8_COVERAGE) || process.execArgv.includes("--experimental-test-coverage");
}

/**
 * Makes a remote object. The inspector can name an object only through an expression, so the object is a
 * global for a moment. The property is gone before any other code runs.
 */
function remoteObject(post: Post, session: Session, value: object): string {
  Object.defineProperty(globalThis, HOLDER, { value, configurable: true });
  try {
    const expression = `globalThis[Symbol.for(${JSON.stringify(HOLDER.description)})]`;
    const evaluate = (context?: object): string | undefined =>
      post("Runtime.evaluate", { expression, ...context }).result.objectId;
    return evaluate() ?? otherContexts(post, session).map(evaluate).find(Boolean) ?? raiseUnseen();
  } finally {
    delete (globalThis as Record<symbol, unknown>)[HOLDER];
  }
}

/**
 * Jest runs programs, including this library, in a vm context, whose `globalThis` is not the one that
 * expressions see.
 */
function otherContexts(post: Post, session: Session): { contextId: number }[] {
  const found: { contextId: number }[] = [];
  session.on("Runtime.executionContextCreated", ({ params }) => found.push({ contextId: params.context.id }));
  post("Runtime.enable");
  return found;
}

function raiseUnseen(): never {
  throw new Error("Cannot find the module of a function: the inspector does not see the program's globals");
}

/** Gives each look-up its own session. The end of a session frees its remote objects, and nothing stays enabled. */
function withSession<T>(use: (post: Post, session: Session) => T): T {
  let session: Session;
  try {
    const inspector: typeof import("node:inspector") = ownRequire()("node:inspector");
    session = new inspector.Session();
    session.connect();
  } catch (cause) {
    const message =
      "Cannot find the module of a function: this node was built or started without its inspector";
    throw new Error(message, { cause });
  }
  const post: Post = (method, params) => {
    let answer: Answer;
    let failure: Error | null | undefined;
    session.post(method, params, (error: Error | null, result?: object) => {
      failure = error;
      answer = result;
    });
    if (failure) throw new Error(`Inspector refused ${method}: ${failure.message}`, { cause: failure });
    return answer;
  };
  try {
    return use(post, session);
  } finally {
    session.disconnect();
  }
}
