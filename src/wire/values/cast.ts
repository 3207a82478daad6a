/** Turns values that encodeValue refuses into values that can be sent. They lose their classes and keep their data. */
import { Blob } from "./blob.ts";
import { formatPath, type Path } from "./path.ts";
import { dataOf } from "./plain-form.ts";
import { wireForm } from "./references.ts";
import { Secret } from "./secret.ts";
import { isError } from "./thrown.ts";
import { typedArrayBy } from "./typed-array.ts";

type Key = string | number;

/**
 * Returns a deep copy that can be sent. Instances become plain objects with their own enumerable properties.
 * Boxed primitives become primitives. Mutable builtins are copied. `Stats` and similar objects become the
 * data that they travel as. Getters are read, `toJSON` is not called. Throws a TypeError with the path for a
 * value without a plain form (functions, symbols, RegExp, …), and for a cycle.
 */
export function cast<T>(value: T): unknown {
  return copy(value, [], []);
}

function copy(value: unknown, path: Path, ancestors: readonly object[]): unknown {
  if (typeof value === "function") refuse(path, `a function (${value.name}) has no plain form`);
  if (typeof value === "symbol") refuse(path, "a symbol has no plain form");
  if (typeof value !== "object" || value === null) return value;
  if (ancestors.includes(value)) refuse(path, "it is inside itself");

  const inner = [...ancestors, value];
  const below = (child: unknown, key: Key) => copy(child, [...path, key], inner);

  // A Secret is immutable. Of errors and contexts, the encoder itself knows which parts travel.
  if (value instanceof Secret || isError(value) || wireForm in value) return value;
  if (
    value instanceof Number ||
    value instanceof String ||
    value instanceof Boolean ||
    value instanceof BigInt
  ) {
    return value.valueOf();
  }
  if (value instanceof Date) return new Date(value.getTime());
  if (value instanceof URL) return new URL(value.href);
  if (Array.isArray(value)) return Array.from(value, below);
  if (value instanceof Set) return new Set(Array.from(value as Set<unknown>, below));
  if (value instanceof Map) {
    const keyOf = (key: unknown, i: number) => (typeof key === "string" ? key : i);
    return new Map(
      Array.from(value as Map<unknown, unknown>, ([k, v], i) => [
        below(k, keyOf(k, i)),
        below(v, keyOf(k, i)),
      ]),
    );
  }
  const kind = Object.prototype.toString.call(value).slice(8, -1);
  const view = ArrayBuffer.isView(value) ? copyOfView(value, kind) : undefined;
  if (view) return view;
  const data = dataOf(value);
  if (data) return data;
  // For RegExp, Promise, DataView and others, the content is not in the properties.
  if (kind !== "Object" && Object.keys(value).length === 0) refuse(path, `${kind} has no plain form`);
  return plainCopy(value, path, below);
}

/** Copies a view as the same type if that travels, otherwise as the builtin type that it extends. */
function copyOfView(view: ArrayBufferView, kind: string): unknown {
  if (Buffer.isBuffer(view)) return Buffer.from(view);
  if (view instanceof Blob) return new Blob(view);
  const { buffer, byteOffset, byteLength } = view;
  const row = typedArrayBy(kind);
  return row && new row[1](buffer.slice(byteOffset, byteOffset + byteLength));
}

function plainCopy(object: object, path: Path, below: (child: unknown, key: Key) => unknown): unknown {
  const plain: Record<string, unknown> = {};
  for (const key of Object.keys(object)) {
    if (key === "__proto__") refuse([...path, key], "a key of this name is not allowed");
    plain[key] = below((object as Record<string, unknown>)[key], key);
  }
  return plain;
}

function refuse(path: Path, reason: string): never {
  throw new TypeError(`Cannot cast ${formatPath(path)}: ${reason}`);
}
