import assert from "node:assert/strict";
import { test } from "node:test";
import { CallError, ChannelError } from "../../../src/errors.ts";
import { decodeValue } from "../../../src/wire/cbor/decoder.ts";
import { encodeValue } from "../../../src/wire/cbor/encoder.ts";
import { errorFromThrown, errorOfRecord } from "../../../src/wire/values/error-value.ts";

// biome-ignore lint/suspicious/noExplicitAny: tests look at properties that errors may have.
const roundTrip = (value: unknown): any => decodeValue(Buffer.concat(encodeValue(value)));

test("errorOfRecord keeps class, message, stack, code and own properties", () => {
  const error = Object.assign(new RangeError("too big"), {
    code: "E2BIG",
    errno: -7,
    syscall: "x",
    path: { a: [1] },
  });
  const copy = roundTrip(error);
  assert.ok(copy instanceof RangeError);
  assert.equal(copy.stack, error.stack);
  assert.deepEqual({ ...copy }, { ...error });
  assert.deepEqual(Object.keys(copy), ["code", "errno", "syscall", "path"]);
  assert.equal(`${copy}`, "RangeError: too big");
});

test("errorOfRecord makes every standard class, and an Error of any other name", () => {
  for (const type of [Error, TypeError, RangeError, SyntaxError, ReferenceError, EvalError, URIError]) {
    const copy = roundTrip(new type("m"));
    assert.equal(Object.getPrototypeOf(copy), type.prototype);
    assert.deepEqual(Object.keys(copy), []);
  }
  class NotFound extends Error {
    override name = "NotFound";
  }
  const copy = roundTrip(new NotFound("m"));
  assert.equal(Object.getPrototypeOf(copy), Error.prototype);
  assert.equal(copy.name, "NotFound");
  assert.ok(!Object.keys(copy).includes("name"));
  const channel = roundTrip(new ChannelError("gone"));
  assert.deepEqual(
    [channel.name, channel.code, channel instanceof CallError],
    ["ChannelError", "ERR_CHANNEL", false],
  );
  assert.equal(roundTrip(Object.assign(new Error("m"), { name: "Object" })) instanceof Error, true);
});

test("errorOfRecord keeps CallError with its cause and the code it took over", () => {
  const error = Object.assign(new CallError("Error: remote", { cause: new TypeError("inner") }), {
    code: "ENOENT",
  });
  const copy = roundTrip(error);
  assert.ok(copy instanceof CallError);
  assert.ok(copy.cause instanceof TypeError);
  assert.deepEqual([copy.name, copy.message, copy.code], ["CallError", "Error: remote", "ENOENT"]);
});

test("errorOfRecord keeps the members of an AggregateError; one that cannot travel becomes undefined", () => {
  const copy = roundTrip(new AggregateError([1, new TypeError("t"), () => 0, { a: 1 }], "many"));
  assert.ok(copy instanceof AggregateError);
  assert.deepEqual(
    [copy.errors[0], copy.errors[1].name, copy.errors[2], copy.errors[3]],
    [1, "TypeError", undefined, { a: 1 }],
  );
  assert.ok(!Object.keys(copy).includes("errors"));
  assert.deepEqual(roundTrip(Object.assign(new Error("m"), { errors: [{ line: 1 }] })).errors, [{ line: 1 }]);
});

test("errorOfRecord keeps a cause of any kind, and distinguishes undefined from none", () => {
  assert.deepEqual(roundTrip(new Error("m", { cause: { a: [1] } })).cause, { a: [1] });
  assert.ok("cause" in roundTrip(new Error("m", { cause: undefined })));
  assert.ok(!("cause" in roundTrip(new Error("m"))));
  assert.ok(!("cause" in roundTrip(new Error("m", { cause: Symbol("s") }))));
});

test("recordOfError drops only properties that do not travel", () => {
  const big = "x".repeat(100_000);
  const copy = roundTrip(
    Object.assign(new Error("m"), {
      a: 1,
      f: () => 0,
      b: [{ f() {} }],
      text: big,
      c: [big, [/x/]],
      request: new (class R {})(),
      d: 2,
    }),
  );
  assert.deepEqual({ ...copy }, { a: 1, text: big, d: 2 });
});

test("recordOfError takes at most 23 properties", () => {
  const many = Object.fromEntries(Array.from({ length: 50 }, (_, i) => [`p${i}`, i]));
  assert.equal(Object.keys(roundTrip(Object.assign(new Error("m"), many))).length, 23);
});

test("recordOfError cuts causes that go in circles or too deep", () => {
  const a = new Error("a");
  const b = new Error("b", { cause: a });
  Object.assign(a, { cause: b, self: a });
  const copy = roundTrip(a);
  assert.equal(copy.cause.message, "b");
  assert.ok(!("cause" in copy.cause) && !("self" in copy));
  let deep = new Error("0");
  for (let i = 1; i < 40; i++) deep = new Error(`${i}`, { cause: deep });
  const chain = [roundTrip(deep)];
  while (chain.at(-1) instanceof Error) chain.push(chain.at(-1).cause);
  assert.deepEqual([chain.length, chain.at(-1)], [17, "[not sent: too many errors inside errors]"]);
});

test("recordOfError ends soon for errors that multiply", () => {
  let error = new Error("0");
  for (let i = 0; i < 16; i++) error = new AggregateError(Array(8).fill(error), "more");
  const limits = { maxMessageBytes: 1e7, maxDepth: 256, maxItems: 1e5 };
  const start = Date.now();
  const size = Buffer.concat(encodeValue(error, { limits })).length;
  assert.ok(size <= 1e7 && Date.now() - start < 10_000);
});

test("recordOfError truncates long messages and stacks, and says so", () => {
  const error = new Error("m".repeat(20_000));
  error.stack = "s".repeat(70_000);
  const copy = roundTrip(error);
  assert.equal(copy.message, `${"m".repeat(16_384)}… [3616 characters more]`);
  assert.equal(copy.stack, `${"s".repeat(32_768)}… [37232 characters more]`);
  // The frames follow the message.
  const { stack } = roundTrip(new Error("$&".repeat(50_000)));
  assert.match(stack, /^Error: [$&]{16384}… \[83616 characters more\]\n +at .*error-value/);
});

test("recordOfError leaves out what does not fit into a message of this size, and says so", () => {
  const error = Object.assign(new RangeError("m", { cause: new Error("c".repeat(70_000)) }), {
    stdout: "x".repeat(60_000),
    lines: Array(20_000).fill("line"),
    exitCode: 3,
  });
  const router = { maxMessageBytes: 65_536 };
  for (const value of [
    error,
    new CallError("failed", { cause: error }),
    new AggregateError([error, error]),
  ]) {
    const body = Buffer.concat(encodeValue(value, { router }));
    assert.ok(body.length < 65_536);
    // biome-ignore lint/suspicious/noExplicitAny: as in roundTrip.
    const copy = decodeValue(body) as any;
    const inner = value === error ? copy : (copy.cause ?? copy.errors[1]);
    const gap = "[not sent: the message would be larger than 65536 bytes]";
    assert.deepEqual({ ...inner }, { stdout: gap, lines: gap, exitCode: 3 });
    assert.deepEqual([inner.name, inner.message, inner.stack], [error.name, error.message, error.stack]);
  }
  const huge = Object.assign(new Error("\u20ac".repeat(70_000)), { name: "Huge" });
  const copy = decodeValue(Buffer.concat(encodeValue(new CallError("failed", { cause: huge }), { router })));
  assert.match(((copy as Error).cause as Error).message, /^\u20ac{16384}… \[53616 characters more\]$/);
});

test("recordOfError survives hostile errors", () => {
  const thrower = () => {
    throw new Error("gotcha");
  };
  const hostile = new Error("m");
  // Node itself reads the name, once, when the stack is first asked for.
  assert.ok(hostile.stack);
  for (const key of ["name", "message", "stack", "code", "cause", "errors", "extra"]) {
    Object.defineProperty(hostile, key, { get: thrower, enumerable: true });
  }
  const copy = roundTrip(hostile);
  assert.deepEqual([copy.name, copy.message, copy.stack, Object.keys(copy)], ["Error", "", "Error: ", []]);
  const odd = Object.assign(new Error("m"), {
    name: 5,
    message: {},
    stack: [],
    // biome-ignore lint/suspicious/noThenProperty: what the test is about.
    then: 1,
    toString: 2,
    constructor: 3,
    toJSON: 4,
  });
  const plain = roundTrip(odd);
  assert.deepEqual([plain.name, plain.message, Object.keys(plain)], ["Error", "", []]);
  const proxy = new Proxy(new Error("m"), {
    ownKeys: thrower,
    get: thrower,
    has: thrower,
    getOwnPropertyDescriptor: thrower,
  });
  assert.equal(roundTrip(proxy).message, "");
  const opaque = new Proxy(new Error("m"), { getPrototypeOf: thrower });
  assert.equal(roundTrip(errorFromThrown(opaque)).name, "NonError");
});

test("errorOfRecord refuses texts that are longer than contexts send", () => {
  const record = (...texts: string[]) => errorOfRecord([...texts, {}, null, []], false);
  assert.equal(record("n", "m", "s".repeat(99_997))?.stack?.length, 99_997);
  assert.equal(record("n", "m", "s".repeat(99_998)), undefined);
  assert.equal(record("n", "m".repeat(1e5), ""), undefined);
  assert.equal(record("n".repeat(1e5), "m", ""), undefined);
});

test("errorOfRecord skips properties that would change how the error behaves", () => {
  const text = (s: string) => Buffer.concat(encodeValue(s)).toString("hex");
  for (const key of [
    "constructor",
    "toString",
    "toLocaleString",
    "valueOf",
    "toJSON",
    "then",
    "stack",
    "message",
    "name",
    "cause",
  ]) {
    const hex = `da4d49540086${text("Error")}${text("m")}${text("s")}a1${text(key)}01f680`;
    const error = decodeValue(Buffer.from(hex, "hex")) as Error;
    assert.deepEqual([`${error}`, error.stack, Object.keys(error)], ["Error: m", "s", []]);
  }
  for (const name of ["__proto__", "constructor", "hasOwnProperty", "Function", "Proxy", ""]) {
    const hex = `da4d49540086${text(name)}${text("m")}f6a0f680`;
    const error = decodeValue(Buffer.from(hex, "hex")) as Error;
    assert.equal(Object.getPrototypeOf(error), Error.prototype);
    assert.equal(error.name, name);
  }
});

test("errorFromThrown returns errors as they are", () => {
  const error = new TypeError("t");
  assert.equal(errorFromThrown(error), error);
});

test("errorFromThrown makes an error from any other value, with the value as cause", () => {
  const cases: [unknown, string][] = [
    [5, "5"],
    [null, "null"],
    [undefined, "undefined"],
    ["boom", "boom"],
    ["", "string"],
    [10n, "10"],
    [Symbol("s"), "Symbol(s)"],
    [{ code: 1 }, '{"code":1}'],
    [{ message: "from afar" }, "from afar"],
    [[1, 2], "[1,2]"],
  ];
  for (const [value, text] of cases) {
    const error = errorFromThrown(value);
    assert.equal(error.name, "NonError");
    assert.equal(error.message, `Non-error thrown: ${text}`);
    assert.equal(error.stack, `NonError: Non-error thrown: ${text}`);
    assert.equal(error.cause, value);
    assert.deepEqual(Object.keys(error), []);
    const copy = roundTrip(error);
    assert.equal(copy.message, error.message);
    if (typeof value !== "symbol") assert.deepEqual(copy.cause, value);
  }
});

test("errorFromThrown describes values that resist description", () => {
  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();
  assert.equal(errorFromThrown(proxy).message, "Non-error thrown: object");
  assert.equal(errorFromThrown(Object.create(null)).message, "Non-error thrown: {}");
  const cycle: Record<string, unknown> = {};
  cycle.self = cycle;
  assert.equal(errorFromThrown(cycle).message, "Non-error thrown: [object Object]");
  assert.ok(errorFromThrown({ a: "x".repeat(50_000) }).message.length < 17_000);
});
