import { Context } from "../core/context.ts";
import { Sender } from "../core/sender.ts";
import { misuse, show } from "../options/options.ts";
import { Blob } from "../wire/values/blob.ts";
import { Secret } from "../wire/values/secret.ts";
import { attempt } from "../wire/values/thrown.ts";
import { refusal } from "./request.ts";

const TYPES = ["string", "number", "boolean", "bigint", "object", "array", "any"] as const;

// biome-ignore lint/suspicious/noExplicitAny: the constructor of anything
type Constructor = abstract new (...args: any[]) => unknown;

/** The names of this library's classes, because the minifier shortens them for contexts. */
const OWN_NAMES: ReadonlyMap<unknown, string> = new Map<unknown, string>([
  [Context, "Context"],
  [Sender, "Sender"],
  [Blob, "Blob"],
  [Secret, "Secret"],
]);

/**
 * The type of an argument. `"object"` is any object, but not null. `"any"` is any value but undefined. A class
 * (`Uint8Array`, `Date`, `Map`, `Sender`) matches its instances. A list matches if one of its types does.
 */
export type ArgType = (typeof TYPES)[number] | Constructor | readonly ArgType[];

/** The required arguments of a method. Other arguments may be passed, and are not checked. */
export type ArgSpec = Readonly<Record<string, ArgType>>;

/** Throws a TypeError for an invalid type, when the class is defined and not when a method is called. */
export function checkSpec(spec: ArgSpec): ArgSpec {
  if (typeof spec !== "object" || spec === null) {
    throw misuse(
      "ERR_INVALID_ARG_TYPE",
      `Cannot expect arguments: the spec must be an object, got ${show(spec)}`,
    );
  }
  const types = attempt(() => Object.entries(spec));
  if (types === undefined) {
    throw misuse(
      "ERR_INVALID_ARG_VALUE",
      "Cannot expect arguments: the spec cannot be read, it threw an error",
    );
  }
  for (const [name, type] of types) checkType(name, type);
  return spec;
}

/** Throws a refusal that names the first argument that is missing or has another type. */
export function checkArguments(spec: ArgSpec, args: Readonly<Record<string, unknown>>, method: string): void {
  for (const [name, type] of Object.entries(spec)) {
    const value = Object.getOwnPropertyDescriptor(args, name)?.value as unknown;
    if (value === undefined) {
      throw refusal(
        "ERR_SERVICE_ARGUMENT",
        `Cannot call ${method}: argument "${name}" is missing, expected ${nameOf(type)}`,
      );
    }
    if (!isOf(type, value)) {
      throw refusal(
        "ERR_SERVICE_ARGUMENT",
        `Cannot call ${method}: argument "${name}" is of the wrong type, got ${typeName(value)}, expected ${nameOf(type)}`,
      );
    }
  }
}

function checkType(name: string, type: ArgType): void {
  if (Array.isArray(type) && type.length > 0) for (const each of type) checkType(name, each);
  else if (typeof type !== "function" && !(TYPES as readonly unknown[]).includes(type)) {
    throw misuse(
      "ERR_INVALID_ARG_TYPE",
      `Cannot expect argument "${name}" to be ${show(type)}: a type is one of ${TYPES.join(", ")}, a class, or a list of these`,
    );
  }
}

function isOf(type: ArgType, value: unknown): boolean {
  if (typeof type === "function") return value instanceof type;
  if (typeof type !== "string") return type.some((each) => isOf(each, value));
  if (type === "any") return true;
  if (type === "array") return Array.isArray(value);
  return typeof value === type && value !== null;
}

function nameOf(type: ArgType): string {
  if (typeof type === "string") return type;
  return typeof type === "function" ? className(type) : type.map(nameOf).join(" or ");
}

function typeName(value: unknown): string {
  if (value === null) return "null";
  if (typeof value !== "object") return typeof value;
  if (Array.isArray(value)) return "array";
  const type: unknown = value.constructor;
  return typeof type === "function" && type !== Object ? className(type) : "object";
}

function className(type: { readonly name: string }): string {
  return OWN_NAMES.get(type) ?? type.name;
}
