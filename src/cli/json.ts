import { inspect } from "node:util";
import type { FleetEvent, FleetSummary, HostResult } from "../fleet/result.ts";
import { read } from "../wire/values/thrown.ts";
import { fullFailureText } from "./screen/failure-text.ts";

/** A result as `--json` and `--ndjson` print it: docs/cli-results.schema.json. */
export interface JsonResult {
  readonly host: string;
  readonly status: HostResult["status"];
  readonly value?: unknown;
  readonly error?: { name: string; message: string; code?: string; stack?: string };
  readonly durationMs: number;
  readonly output?: string;
}

/** The document of `--json`. */
export interface JsonDocument {
  readonly version: 1;
  readonly summary: FleetSummary;
  readonly results: readonly JsonResult[];
}

export function jsonResult({ host, status, value, error, durationMs, output }: HostResult): JsonResult {
  return {
    host,
    status,
    ...(value !== undefined && { value: plain(value) }),
    ...(error !== undefined && { error: jsonError(error) }),
    durationMs: Math.max(0, Math.round(durationMs)),
    ...(output !== undefined && { output }),
  };
}

export function jsonEvent(event: FleetEvent): unknown {
  return event.type === "result" ? { type: "result", result: jsonResult(event.result) } : event;
}

/** Characters that a terminal acts on and that JSON need not escape. Escaped, they mean the same in JSON. */
const ACTIVE = /[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;

/** V8 ends the process if some ten million characters of one text are replaced, so a long one is taken in parts. */
const PART = 1024 * 1024;

/** JSON that is harmless on a terminal. */
export function toJson(value: unknown, indent?: number): string {
  return [...jsonParts(value, indent)].join("");
}

/** The same in parts, because together they may be longer than a string can be. */
export function* jsonParts(value: unknown, indent?: number, end = ""): Generator<string, void, undefined> {
  const text = JSON.stringify(value, undefined, indent) + end;
  for (let at = 0; at < text.length; at += PART) {
    yield text
      .slice(at, at + PART)
      .replace(ACTIVE, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`);
  }
}

function jsonError(error: Error): NonNullable<JsonResult["error"]> {
  const code = read(error, "code");
  return {
    name: String(error.name),
    message: fullFailureText(error),
    ...(typeof code === "string" && { code }),
    ...(typeof error.stack === "string" && { stack: error.stack }),
  };
}

/** More hexadecimal digits than anybody reads. V8 takes a second for the decimal digits of a megabyte, and minutes for ten. */
const MAX_HEX_DIGITS = 16_384;

function bigintText(value: bigint): string {
  const hex = value.toString(16);
  return hex.length > MAX_HEX_DIGITS ? hex.replace(/^-?/, "$&0x") : String(value);
}

/** Whether the value has, at any depth, an integer that nothing may show in decimal. The value may hold itself. */
export function hasHugeBigint(value: unknown): boolean {
  const found = new Set([value]);
  // Goes on with what is added meanwhile.
  for (const each of found) {
    if (typeof each === "bigint" && each.toString(16).length > MAX_HEX_DIGITS) return true;
    if (typeof each !== "object" || each === null || ArrayBuffer.isView(each)) continue;
    const parts = each instanceof Map || each instanceof Set ? each : Object.values(each);
    for (const part of [...parts, (each as { cause?: unknown }).cause]) {
      if (typeof part === "bigint" || typeof part === "object") found.add(part);
    }
  }
  return false;
}

/**
 * Converts values that JSON does not have. Maps and Sets become arrays, bytes become base64, big integers become text,
 * huge ones in hexadecimal. Any other value becomes the text of `util.inspect`.
 */
export function plain(value: unknown): unknown {
  try {
    const text = JSON.stringify(withoutOddities(value));
    return text === undefined ? inspect(value) : JSON.parse(text);
  } catch {
    // It may hold itself. The digits of a huge integer would take minutes.
    return hasHugeBigint(value) ? inspect(value, { depth: -1 }) : inspect(value);
  }
}

/** Done before JSON.stringify, which calls the `toJSON` of a Buffer first, and that makes an array of numbers. */
function withoutOddities(value: unknown): unknown {
  if (typeof value === "bigint") return bigintText(value);
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.map(withoutOddities);
  if (value instanceof Map || value instanceof Set) return [...value].map(withoutOddities);
  if (value instanceof Error) return jsonError(value);
  if (value instanceof Uint8Array) {
    return Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString("base64");
  }
  if (typeof read(value, "toJSON") === "function") return value;
  return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, withoutOddities(part)]));
}
