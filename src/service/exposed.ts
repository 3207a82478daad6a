import type { Message } from "../core/message.ts";
import { hasParentAuthority } from "../core/policies.ts";
import type { Policy } from "../core/policy.ts";
import { misuse } from "../options/options.ts";
import { textOf } from "../wire/values/thrown.ts";
import { type ArgSpec, checkArguments, checkSpec } from "./arg-spec.ts";
import { refusal, type ServiceRequest } from "./request.ts";
import { type Exposed, type FullEntry, Service } from "./service.ts";

/** Lets every context of the tree call the method. */
export const AllowAny: Policy = () => true;

/** Lets this context, and those above it, call the method. */
export const AllowParents: Policy = (message) => hasParentAuthority(message);

// biome-ignore lint/suspicious/noExplicitAny: any method at all
type AnyMethod = (...args: any[]) => unknown;

/** A decorator, standard or legacy, that is also a function of a prototype and a method's name. */
export interface MethodMark {
  /** As a standard decorator. */
  (method: AnyMethod, context: ClassMethodDecoratorContext): void;
  /** As a legacy decorator, or called with a prototype and the method's name. */
  // biome-ignore lint/suspicious/noExplicitAny: any method at all
  (prototype: object, name: string | symbol, descriptor?: TypedPropertyDescriptor<any>): void;
}

interface Marks {
  policies: Policy[];
  args: ArgSpec;
  noReply: boolean;
}

/** An exposed method, with its requirements for a request. */
export interface ExposedMethod {
  readonly fn: AnyMethod;
  readonly noReply: boolean;
}

// By function, so that a subclass that overrides a method decides anew who may call it.
const marks = new WeakMap<AnyMethod, Marks>();

/**
 * Lets contexts call a method if all of the policies allow it: {@link AllowAny}, {@link AllowParents}, or a function
 * that gets the request's {@link Message} and returns true. May be repeated. A method without a policy cannot be
 * called. Put `expose` above decorators that replace the method. Throws a TypeError for a policy that is not a
 * function.
 *
 * ```ts
 * class Disks extends Service {
 *   @expose(AllowParents)
 *   @argSpec({ path: "string" })
 *   format({ path }: { path: string }) {}
 * }
 * expose(AllowParents)(Disks.prototype, "format"); // the same in JavaScript
 * ```
 */
export function expose(...policies: [Policy, ...Policy[]]): MethodMark {
  checkPolicies(policies);
  return mark((each) => {
    each.policies = [...policies, ...each.policies];
  });
}

/**
 * Lists the arguments that a method requires: `argSpec({ name: "string", data: Uint8Array })`. They are checked before
 * the method is called. Throws a TypeError for an unknown type.
 */
export function argSpec(spec: ArgSpec): MethodMark {
  checkSpec(spec);
  return mark((each) => {
    each.args = { ...each.args, ...spec };
  });
}

/**
 * The result of the method is not sent. The method may answer with `message.reply()`. An error that it throws is
 * logged.
 */
export function noReply(): MethodMark {
  return mark((each) => {
    each.noReply = true;
  });
}

/**
 * Finds the method for a request. Throws a refusal if there is none, if it is not exposed, or if a policy or
 * the arguments refuse.
 */
export function methodFor(
  service: Service,
  name: string,
  request: ServiceRequest,
  message: Message,
): ExposedMethod {
  const { method } = request;
  const fn = findMethod(service, method);
  const what = `${method} of service ${name}`;
  if (fn === undefined) throw refusal("ERR_SERVICE_METHOD", `Cannot call ${what}: it has no such method`);
  const { policies, args, noReply } = marksOf(service, method, fn);
  if (policies.length === 0) {
    throw refusal(
      "ERR_SERVICE_METHOD",
      `Cannot call ${what}: it is not exposed, because no policy says who may call it`,
    );
  }
  // No policy is asked about a request of this context itself, which could also call the method without a service.
  const isOwn = message.srcId === message.router.contextId && message.authId === message.srcId;
  if (!isOwn && !policies.every((policy) => allows(policy, message))) {
    throw refusal(
      "ERR_SERVICE_POLICY",
      `Cannot call ${what} from context ${message.srcId}: refused by policy`,
    );
  }
  checkArguments(args, request.args, what);
  return { fn, noReply };
}

function mark(change: (marks: Marks) => void): MethodMark {
  return (target: object, place: { name: unknown } | string | symbol): void => {
    const isStandard = typeof place === "object";
    const fn = isStandard ? target : Object(target)[place];
    if (typeof fn !== "function") {
      const name = textOf(isStandard ? place.name : place);
      throw misuse("ERR_INVALID_ARG_TYPE", `Cannot expose ${name}: it is not a method`);
    }
    const own = marks.get(fn as AnyMethod) ?? noMarks();
    change(own);
    marks.set(fn as AnyMethod, own);
  };
}

function noMarks(): Marks {
  return { policies: [], args: {}, noReply: false };
}

/** Merges the decorators with the tables of the class and of those it extends. */
function marksOf(service: Service, name: string, fn: AnyMethod): Marks {
  const own = marks.get(fn) ?? noMarks();
  const all = { ...own, policies: [...own.policies] };
  let type: unknown = service.constructor;
  for (; typeof type === "function" && type !== Service; type = Object.getPrototypeOf(type)) {
    const entry = ownValue(ownValue(type, "exposed") ?? {}, name) as Exposed | undefined;
    if (entry === undefined) continue;
    const { allow, args, noReply }: FullEntry = isFull(entry) ? entry : { allow: entry };
    const policies = typeof allow === "function" ? [allow] : allow;
    checkPolicies(policies);
    all.policies.push(...policies);
    all.args = { ...(args && checkSpec(args)), ...all.args };
    all.noReply ||= noReply === true;
  }
  return all;
}

function isFull(entry: Exposed): entry is FullEntry {
  return typeof entry === "object" && "allow" in entry;
}

/** Finds a method, but none of Service or Object, and no accessor: the name comes from a caller. */
function findMethod(service: Service, name: string): AnyMethod | undefined {
  let owner: object | null = service;
  for (; owner !== null && owner !== Service.prototype; owner = Object.getPrototypeOf(owner)) {
    const value = ownValue(owner, name);
    if (value !== undefined)
      return typeof value === "function" && name !== "constructor" ? (value as AnyMethod) : undefined;
  }
  return undefined;
}

function ownValue(owner: unknown, name: string): unknown {
  return Object.getOwnPropertyDescriptor(owner, name)?.value;
}

function allows(policy: Policy, message: Message): boolean {
  try {
    return policy(message) === true;
  } catch {
    // A policy that throws does not allow.
    return false;
  }
}

function checkPolicies(policies: readonly unknown[]): void {
  if (policies.length > 0 && policies.every((policy) => typeof policy === "function")) return;
  throw misuse(
    "ERR_INVALID_ARG_TYPE",
    "Cannot expose a method: a policy is AllowAny, AllowParents, or a function of the request",
  );
}
