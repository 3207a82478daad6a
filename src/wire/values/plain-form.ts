/**
 * The plain data that replaces some objects of Node, and the cure for objects that nothing replaces:
 * docs/encoding.md#values-sent-as-plain-objects.
 */
import { EventEmitter } from "node:events";
import type { PlainForm } from "./refusal.ts";
import { attempt } from "./thrown.ts";

type AnyFunction = (...args: never[]) => unknown;

/** The methods of `fs.Stats` and `fs.Dirent` whose results travel. */
const FILE_TYPES = [
  "isFile",
  "isDirectory",
  "isSymbolicLink",
  "isBlockDevice",
  "isCharacterDevice",
  "isFIFO",
  "isSocket",
] as const;
/** Own properties in some Nodes, getters in others. */
const TIMES = ["atime", "mtime", "ctime", "birthtime"];
const BIG_TIMES = ["atimeNs", "mtimeNs", "ctimeNs", "birthtimeNs"];

const CAST = "pass plain data, or a copy made by cast()";
const LIVES = "use it where it is, in a function that returns data";

/** The cures, by `Object.prototype.toString`. */
const CURES: ReadonlyMap<string, string> = new Map(
  Object.entries({
    Promise: "await it first",
    Generator: "read it by context.stream(), which runs the function that returns it, or pass an array",
    AsyncGenerator: "read it by context.stream(), which runs the function that returns it",
    AbortSignal: "call through context.with({ signal }); the function gets it as currentCall().signal",
    AbortController: "call through context.with({ signal }); the function gets it as currentCall().signal",
    RegExp: "pass its source and flags",
    ArrayBuffer: "pass new Uint8Array(it)",
    SharedArrayBuffer: "pass new Uint8Array(it)",
    DataView: "pass a Uint8Array of its bytes",
    URL: "pass its href",
    URLSearchParams: "pass String(it)",
    Headers: "pass Object.fromEntries(it)",
    FormData: "pass Object.fromEntries(it)",
    Response: "return what await it.text(), it.json() or it.bytes() gives",
    Request: "pass its url, and the options it was made with",
    Blob: "pass new Uint8Array(await it.arrayBuffer())",
    File: "pass new Uint8Array(await it.arrayBuffer())",
    ReadableStream: "read it by context.stream(), which runs the function that returns it",
  }),
);

/** Returns the plain data that replaces a value. Throws a refusal with the cure if there is none. */
export const plainForm: PlainForm = (value, refusal) => {
  if (isFunction(value))
    throw new refusal(`${functionName(value)} is not serialisable; ${functionCure(value)}`);
  if (typeof value === "symbol") throw new refusal("a symbol is not serialisable; pass a string instead");
  const object = value as object;
  const form = dataOf(object);
  if (form !== undefined) return form;
  throw new refusal(`${describe(object)} is not serialisable; ${cureOf(object)}`);
};

/** Returns the data of a `Stats`, a `Dirent`, a `StatFs` or of `process.env`. Undefined for anything else. */
export function dataOf(object: object): Record<string, unknown> | undefined {
  if (object === process.env) return { ...object };
  const methods = object as Record<string, unknown>;
  if (FILE_TYPES.every((name) => typeof methods[name] === "function")) return fileData(methods);
  return className(object) === "StatFs" ? { ...object } : undefined;
}

function fileData(file: Record<string, unknown>): Record<string, unknown> {
  const data: Record<string, unknown> = {};
  if ("mode" in file) {
    // Leaves out symbol keys, under which some Nodes keep internal data.
    for (const key of [...Object.keys(file), ...TIMES, ...BIG_TIMES]) if (key in file) data[key] = file[key];
  } else {
    data["name"] = file["name"];
    // Old Nodes call it `path`, new ones warn of that name, and the oldest have no such property.
    const parentPath = file["parentPath"] ?? file["path"];
    if (parentPath !== undefined) data["parentPath"] = parentPath;
  }
  for (const name of FILE_TYPES) data[name] = (file[name] as () => boolean)();
  return data;
}

function isFunction(value: unknown): value is AnyFunction {
  return typeof value === "function";
}

function functionName(fn: AnyFunction): string {
  const kind = isClass(fn) ? "class" : "function";
  return fn.name === "" ? `a ${kind} without a name` : `${kind} ${fn.name}`;
}

function functionCure(fn: AnyFunction): string {
  if (isClass(fn)) return "export it, and use it in a function that runs there";
  return "export it and run it there by context.call() or ref(), or pass a Sender for what it would be called with";
}

function isClass(fn: AnyFunction): boolean {
  return attempt(() => /^class\b/.test(Function.prototype.toString.call(fn))) === true;
}

function describe(object: object): string {
  const kind = kindOf(object);
  if (kind === "Promise") return "a promise";
  if (kind === "Generator" || kind === "AsyncGenerator") return "a generator";
  if (/ Iterator$/.test(kind)) return "an iterator";
  const name = className(object);
  return name === "" ? "an instance of a class without a name" : `an instance of class ${name}`;
}

function cureOf(object: object): string {
  const kind = kindOf(object);
  const cure = CURES.get(kind);
  if (cure !== undefined) return cure;
  if (/ Iterator$/.test(kind)) return "pass Array.from(it), or read it by context.stream()";
  if (className(object) === "ChildProcess")
    return "start it by run(), or in a function that returns what it printed";
  if ("toSender" in object) return "pass its toSender()";
  if ("contextById" in object)
    return "make the function with takesRouter(), which passes it the router there";
  if (Symbol.asyncIterator in object)
    return "read it by context.stream(), which runs the function that returns it";
  return object instanceof EventEmitter || kind === "WeakMap" || kind === "WeakSet" ? LIVES : CAST;
}

function kindOf(object: object): string {
  return Object.prototype.toString.call(object).slice(8, -1);
}

/** Empty if the class is unknown. */
function className(object: object): string {
  const name = (object.constructor as { name?: unknown } | undefined)?.name;
  return typeof name === "string" ? name : "";
}
