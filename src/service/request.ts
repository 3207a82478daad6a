import type { ServiceClass } from "../calls/caller/service-call.ts";
import type { Message } from "../core/message.ts";
import type { CoreRouter } from "../core/router.ts";
import { CallError } from "../errors.ts";
import { apiRef } from "../functions/api-ref.ts";
import type { FunctionName } from "../functions/function-name.ts";
import { encodeValue } from "../wire/cbor/encoder.ts";
import { formatPath, type Path } from "../wire/values/path.ts";
import { messageOf } from "../wire/values/thrown.ts";

/**
 * Allowed names. Names are logged and sent back, and those of a hostile context must not fill the log, or begin a
 * new line in it.
 */
const NAME = /^[^\0-\x1f\x7f]+$/;
const MAX_NAME_CHARACTERS = 1000;

/** A request for a service, docs/protocol.md#call_service. */
export interface ServiceRequest {
  /** The service by name. */
  readonly service: string;
  /** The reference to its class, for a context that does not have it yet. */
  readonly reference: FunctionName | undefined;
  readonly method: string;
  readonly args: Readonly<Record<string, unknown>>;
}

/** The name of a service on the wire. */
export interface ServiceIdentity {
  readonly name: string;
  readonly reference: FunctionName | undefined;
}

/** Why a request was refused: the `code` of the CallError. docs/errors.md */
export type RefusalCode =
  | "ERR_SERVICE_REQUEST"
  | "ERR_SERVICE_INACTIVE"
  | "ERR_SERVICE_METHOD"
  | "ERR_SERVICE_POLICY"
  | "ERR_SERVICE_ARGUMENT"
  | "ERR_SERVICE_BUSY";

/** Makes the CallError with which the pool itself, and not a method, answers a request. */
export function refusal(code: RefusalCode, message: string): CallError {
  return Object.assign(new CallError(message), { code });
}

const libraryNames = new WeakMap<ServiceClass, string>();

/** Registers a service of this library. In contexts, the part `mitogen:api` exports it under that name. */
export function ofLibrary(type: ServiceClass, name: string): void {
  libraryNames.set(type, name);
}

/**
 * Names a class: by its own `serviceName`, or else by module and export. Throws a TypeError with the cure if
 * it has neither.
 */
export function identityOf(router: CoreRouter, type: ServiceClass): ServiceIdentity {
  const own = Object.getOwnPropertyDescriptor(type, "serviceName")?.value as string | undefined;
  let reference: FunctionName | undefined;
  const libraryName = libraryNames.get(type);
  try {
    if (libraryName !== undefined) reference = apiRef(libraryName);
    else reference = router.functions.nameOf(type as never, true);
  } catch (error) {
    if (own === undefined) {
      throw new TypeError(
        `Cannot name service ${type.name || "(anonymous)"}: ${messageOf(error)}; or give it a static serviceName`,
      );
    }
  }
  const name = own ?? `${reference?.module}#${reference?.path.join(".")}`;
  return { name, reference };
}

/**
 * Returns the body of a request. Reads the arguments now. Throws a TypeError for arguments that have no names, or
 * that cannot travel.
 */
export function encodeRequest(
  router: CoreRouter,
  { name, reference }: ServiceIdentity,
  method: string,
  args: unknown,
): readonly Uint8Array[] {
  if (args !== undefined && !isNamed(args)) {
    throw new TypeError(
      `Cannot call ${method} of service ${name}: its arguments must be an object of named values`,
    );
  }
  const place = reference === undefined ? null : [reference.module, reference.path];
  const options = { what: describeArgument, limits: router.limits, router };
  return encodeValue([name, place, method, args ?? {}], options);
}

/** Reads a request. Throws a refusal for anything else. Data from a context is hostile until checked. */
export function parseRequest(message: Message): ServiceRequest {
  let value: unknown;
  try {
    value = message.decode();
  } catch (error) {
    throw malformed(messageOf(error));
  }
  const [service, place, method, args] = Array.isArray(value) ? value : [];
  if (typeof service !== "string" || typeof method !== "string" || !isNamed(args)) {
    throw malformed("it must be [service, [module, path] or null, method, arguments]");
  }
  if (!isName(service) || !isName(method)) {
    throw malformed("names have 1 to 1000 characters, and no control characters");
  }
  return { service, reference: parseReference(place), method, args };
}

function isName(text: string): boolean {
  return text.length <= MAX_NAME_CHARACTERS && NAME.test(text);
}

function parseReference(place: unknown): FunctionName | undefined {
  if (place === null) return undefined;
  const [module, path] = Array.isArray(place) ? place : [];
  if (typeof module !== "string" || !Array.isArray(path) || !path.every((each) => typeof each === "string")) {
    throw malformed("its class must be [module, path] or null");
  }
  return { module, path };
}

function malformed(why: string): CallError {
  return refusal("ERR_SERVICE_REQUEST", `Cannot read a service request: ${why}`);
}

function isNamed(args: unknown): args is Record<string, unknown> {
  if (typeof args !== "object" || args === null) return false;
  const prototype = Object.getPrototypeOf(args);
  return prototype === Object.prototype || prototype === null;
}

function describeArgument(path: Path): string {
  // The first element is the position in the request, the second the name of the argument.
  const [, name, ...rest] = path;
  return formatPath(rest, `argument ${name}`);
}
