import { CallError } from "../../src/errors.ts";
import { Blob } from "../../src/wire/values/blob.ts";
import { Secret } from "../../src/wire/values/secret.ts";
import { FakeReference } from "../support/fake-reference.ts";

/** A value of every type, small enough to try something at each byte. */
export function sampleValues(): unknown[] {
  const short = <T extends Error>(error: T): T => Object.defineProperty(error, "stack", { value: "at x" });
  const cause = short(new TypeError("inner", { cause: { code: 7 } }));
  return [
    [undefined, null, true, false, 0, -1, 500, 1e10, -1e10, 1.5, -0, 2 ** 60],
    [0n, -1n, 12n, 2n ** 70n, -(2n ** 70n)],
    ["", "abc", "é€😀", "x".repeat(30), "a\ud800"],
    [Buffer.from("abc"), new Uint8Array([1]), new Uint16Array(2), new Float64Array([1.5]), new Blob("b")],
    { a: { b: { c: [1, [2, [3]]] } }, "": 0, "\ud800": 1 },
    new Map<unknown, unknown>([["a", 1], [{ k: 1 }, new Map([[1, new Set([1, "b", [new Set()]])]])]]), // biome-ignore format: table
    [new Date(0), new Date(123), new Secret("s"), new Secret(""), new URL("http://a/b")],
    short(Object.assign(new Error("outer", { cause }), { code: "E", errno: -2, path: ["p", { q: 1 }] })),
    [
      short(new AggregateError([1, short(new Error("a")), () => 0], "many")),
      short(new CallError("call", { cause })),
    ],
    new FakeReference({ kind: "context", contextId: 7, name: "local" }),
    [new FakeReference({ kind: "sender", contextId: 7, handle: 1001 })],
  ];
}
