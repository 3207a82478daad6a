/** Values that people, and other programs, pass as options by mistake. */

/**
 * Whether a value is right for one option. Written from docs/, not from the tables of src/: they must agree.
 */
export type Accepts = (value: unknown) => boolean;

const isText = (value: unknown): value is string =>
  typeof value === "string" && value !== "" && !value.includes("\0");
const isList = (value: unknown): value is unknown[] => {
  try {
    return Array.isArray(value) && value.length < 1000;
  } catch {
    return false; // a revoked proxy
  }
};

type Kind =
  | "flag"
  | "text"
  | "anyText"
  | "target"
  | "contextName"
  | "processName"
  | "texts"
  | "command"
  | "nodePath"
  | "duration"
  | "interval"
  | "limit"
  | "port"
  | "count"
  | "seconds"
  | "handle"
  | "callback"
  | "password"
  | "never";

export const accepts: Readonly<Record<Kind, Accepts>> = {
  flag: (value) => typeof value === "boolean",
  text: isText,
  anyText: (value) => typeof value === "string",
  target: (value) => isText(value) && !value.startsWith("-") && !/[\n\x1b]/.test(value),
  contextName: (value) => typeof value === "string" && value !== "" && value.length < 100,
  processName: (value) => typeof value === "string" && !/[/\\\0]/.test(value),
  texts: (value) =>
    isList(value) && Array.from(value).every((each) => typeof each === "string" && !each.includes("\0")),
  command: (value) => accepts.texts(value) && (value as unknown[]).length > 0,
  nodePath: (value) => isText(value) || accepts.command(value),
  duration: (value) => typeof value === "number" && value >= 0,
  interval: (value) =>
    value === Number.POSITIVE_INFINITY ||
    (typeof value === "number" && (value === 0 || (value >= 1 && value < 2 ** 31))),
  limit: (value) =>
    value === Number.POSITIVE_INFINITY || (Number.isSafeInteger(value) && (value as number) >= 1),
  port: (value) => Number.isInteger(value) && (value as number) > 0 && (value as number) < 65536,
  count: (value) => Number.isInteger(value) && (value as number) > 0 && (value as number) < 2 ** 31,
  seconds: (value) => value === 0 || accepts.count(value),
  handle: (value) => Number.isInteger(value) && (value as number) > 0 && (value as number) < 2 ** 32,
  callback: (value) => typeof value === "function",
  password: (value) =>
    (typeof value === "string" && !/[\0\n\x1b]/.test(value)) || typeof value === "function",
  never: () => false,
};

export function oneOf(...words: readonly unknown[]): Accepts {
  return (value) => words.includes(value);
}

function revoked(target: object): unknown {
  const { proxy, revoke } = Proxy.revocable(target, {});
  revoke();
  return proxy;
}

/** Throws whatever a program does with it. */
const hostile: unknown = new Proxy(() => undefined, {
  get: () => {
    throw new Error("trap");
  },
  getPrototypeOf: () => {
    throw new Error("trap");
  },
});

/** Values by name. Each is wrong for some option. */
export const badValues: readonly (readonly [name: string, value: unknown])[] = [
  ["null", null],
  ["true", true],
  ["false", false],
  ["NaN", Number.NaN],
  ["-1", -1],
  ["-Infinity", Number.NEGATIVE_INFINITY],
  ["0", 0],
  ["1.5", 1.5],
  ["5", 5],
  ["Infinity", Number.POSITIVE_INFINITY],
  ["2^31", 2 ** 31],
  ["2^32", 2 ** 32],
  ["2^53", 2 ** 53],
  ["a bigint", 5n],
  ["an empty string", ""],
  ["digits", "5"],
  ["a NUL", "a\0b"],
  ["a line end", "a\nb"],
  ["an escape", "a\x1b[2Jb"],
  ["a leading dash", "-oProxyCommand=id"],
  ["a path", "/nowhere/at/all"],
  ["a long string", "x".repeat(5000)],
  ["an object", {}],
  ["an object with a number", { count: "5", uid: 1.5, source: 5 }],
  [
    "an object with a throwing getter",
    Object.defineProperty({}, "count", { get: throwing, enumerable: true }),
  ],
  ["an empty list", []],
  ["a list of a number", [5]],
  ["a list with a NUL", ["a\0b"]],
  ["a list with a hole", new Array(3)],
  ["an endless list", new Array(2 ** 32 - 1)],
  ["a Date", new Date(0)],
  ["a Map", new Map()],
  ["a symbol", Symbol("no")],
  ["a function", () => undefined],
  ["bytes", Buffer.from("hunter2")],
  ["a hostile proxy", hostile],
  ["a revoked proxy", revoked({})],
  ["a revoked list", revoked([])],
];

function throwing(): never {
  throw new Error("getter");
}

/** Whether a value can be an argument of a call, and so arrive in a context unchecked. */
export function canTravel(value: unknown): boolean {
  if (typeof value === "symbol" || typeof value === "function") return false;
  if (typeof value !== "object" || value === null) return true;
  if (isList(value)) return true;
  try {
    return (
      !Array.isArray(value) &&
      Object.keys(value).every((key) => canTravel((value as Record<string, unknown>)[key]))
    );
  } catch {
    return false;
  }
}
