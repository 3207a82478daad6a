import { readConnectOptions } from "../../connection/methods/method.ts";
import { methods } from "../../connection/methods/methods.ts";
import { isOptions, refusalIn, show } from "../../options/options.ts";
import { didYouMean } from "../../text/nearest.ts";
import type { GroupRecord, HostRecord, InventoryData, MemberList, Members, Variables } from "./config.ts";
import type { Step } from "./host.ts";
import { InventoryError, quote } from "./inventory-error.ts";
import { checkName, MAX_HOSTS, parseAddress } from "./names.ts";

/** The most steps to one host. */
const MAX_STEPS = 16;

const CONFIG_KEYS = ["hosts", "groups", "vars", "defaults"];
const HOST_KEYS = ["connect", "vars", "groups"];
const GROUP_KEYS = ["hosts", "vars"];

type Defaults = InventoryData["defaults"];

/** Checks the shape of a config and every option of its steps. `origin` names it in errors. */
export function readConfig(config: unknown, origin: string): InventoryData {
  const what = `Cannot read ${origin}`;
  if (!isOptions(config))
    throw new InventoryError(
      `${what}: a config must be an object with ${CONFIG_KEYS.join(", ")}, got ${show(config)}`,
    );
  checkKeys(what, config, CONFIG_KEYS);
  const given = config as Record<string, unknown>;
  const defaults = readDefaults(`${what}: defaults`, given["defaults"]);
  const vars = readVars(what, given["vars"]);
  const hosts = new Map<string, HostRecord>();
  for (const [name, entry] of entriesOf(`${what}: hosts`, given["hosts"]))
    hosts.set(name, readHost(what, name, entry, defaults));
  const groups = new Map<string, GroupRecord>();
  for (const [name, group] of entriesOf(`${what}: groups`, given["groups"]))
    groups.set(name, readGroup(what, name, group));
  return { origin, hosts, groups, vars, defaults };
}

/** Checks one host of a config or of a list. `what` begins the message. */
export function readHost(what: string, name: string, entry: unknown, defaults: Defaults): HostRecord {
  checkName(what, "host", name);
  const where = `${what}: host ${quote(name)}`;
  if (isOptions(entry) && "connect" in entry) {
    checkKeys(where, entry, HOST_KEYS);
    const { connect, vars, groups = [] } = entry as { connect: unknown; vars?: unknown; groups?: unknown };
    if (!Array.isArray(groups))
      throw new InventoryError(`${where}: groups must be a list of names, got ${show(groups)}`);
    for (const group of groups) checkName(where, "group", group);
    return {
      name,
      steps: readSteps(where, name, connect, defaults),
      vars: readVars(where, vars),
      groups: [...new Set(groups as string[])],
    };
  }
  return { name, steps: readSteps(where, name, entry, defaults), vars: {}, groups: [] };
}

/** Checks a host with a `name` in it: an element of a list, or a {@link Host}. */
export function readNamedHost(what: string, entry: object, defaults: Defaults): HostRecord {
  const { name, ...rest } = entry as { name: unknown; steps?: unknown };
  checkName(what, "host", name);
  if (!("steps" in rest)) return readHost(what, name as string, rest, defaults);
  const { steps, ...others } = rest;
  return readHost(what, name as string, { connect: steps, ...others }, defaults);
}

function readSteps(where: string, name: string, connect: unknown, defaults: Defaults): Step[] {
  const steps = Array.isArray(connect) ? (connect as unknown[]) : [connect];
  if (steps.length === 0 || steps.length > MAX_STEPS)
    throw new InventoryError(
      `${where}: it needs 1 to ${MAX_STEPS} steps that reach it, and has ${steps.length}`,
    );
  return steps.map((step, i) =>
    readStep(steps.length === 1 ? where : `${where}, step ${i + 1}`, name, step, defaults),
  );
}

function readStep(where: string, name: string, step: unknown, defaults: Defaults): Step {
  if (!isOptions(step))
    throw new InventoryError(`${where}: a step must be an object such as { ssh: { … } }, got ${show(step)}`);
  const keys = Object.keys(step);
  const method = keys[0] as string;
  for (const key of keys) checkMethodName(where, key, HOST_KEYS);
  if (keys.length !== 1)
    throw new InventoryError(
      `${where}: a step must have exactly one method, and has ${keys.length === 0 ? "none" : keys.join(", ")}; write a list of steps for a chain: [{ ssh: {} }, { sudo: {} }]`,
    );
  return makeStep(where, name, method, (step as Record<string, unknown>)[method], defaults);
}

/** Completes a step with the defaults of its method, and checks its options as a connect would. */
export function makeStep(
  where: string,
  name: string,
  method: string,
  given: unknown,
  defaults: Defaults,
): Step {
  const own = methods[method]?.options as Readonly<Record<string, object>>;
  if (isOptions(given)) checkOptionNames(`${where}: ${method}`, method, given);
  const hasOwn = isOptions(given) && (given as { hostname?: unknown }).hostname !== undefined;
  const address = method !== "ssh" || hasOwn ? {} : parseAddress(name);
  const options = isOptions(given) ? { ...defaults[method], ...address, ...withoutUndefined(given) } : given;
  return { [method]: checked(where, () => readConnectOptions(method, options, own as never)) } as Step;
}

function checkOptionNames(where: string, method: string, options: object): void {
  const known = optionNames(method);
  for (const key of Object.keys(options)) {
    if (key === "via")
      throw new InventoryError(
        `${where} has no option "via" in an inventory: the step before leads to the next`,
      );
    if (!known.includes(key))
      throw new InventoryError(
        `${where} has no option ${quote(key)}${didYouMean(key, known) || `; it has ${known.join(", ")}`}`,
      );
  }
}

/** What every method takes: `ConnectOptions` without `via`. */
const COMMON = [
  "name",
  "remoteName",
  "nodePath",
  "timeoutMs",
  "unidirectional",
  "provision",
  "onProgress",
  "debug",
];

function optionNames(method: string): string[] {
  return [...Object.keys(methods[method]?.options ?? {}), ...COMMON];
}

function checkMethodName(where: string, method: string, others: readonly string[] = []): void {
  if (method in methods) return;
  const known = [...Object.keys(methods), ...others];
  const hint = didYouMean(method, known) || `; the methods are ${Object.keys(methods).join(", ")}`;
  throw new InventoryError(`${where}: there is no method ${quote(method)}${hint}`);
}

function readDefaults(where: string, defaults: unknown): Defaults {
  const found: Record<string, Readonly<Record<string, unknown>>> = {};
  for (const [method, options] of entriesOf(where, defaults)) {
    checkMethodName(where, method);
    if (!isOptions(options))
      throw new InventoryError(`${where}.${method} must be an object of options, got ${show(options)}`);
    checkOptionNames(`${where}.${method}`, method, options);
    // A required option comes from the step; the others are checked here, so that the error names their place.
    const own = Object.entries(methods[method]?.options as Readonly<Record<string, object>>);
    const optional = Object.fromEntries(own.map(([name, type]) => [name, { ...type, isRequired: false }]));
    found[method] = checked(where, () => readConnectOptions(method, options, optional as never));
  }
  return found;
}

function readGroup(what: string, name: string, group: unknown): GroupRecord {
  checkName(what, "group", name);
  if (name === "all")
    throw new InventoryError(
      `${what}: group "all": the name "all" already means every host; choose another name`,
    );
  const where = `${what}: group ${quote(name)}`;
  if (!isOptions(group)) return { name, members: checkMembers(where, group), vars: {} };
  checkKeys(where, group, GROUP_KEYS);
  const { hosts, vars } = group as { hosts?: unknown; vars?: unknown };
  return { name, members: checkMembers(where, hosts), vars: readVars(where, vars) };
}

function checkMembers(where: string, members: unknown): Members {
  return typeof members === "function" ? (members as Members) : checkMemberList(where, members);
}

/** Checks what a group or its function holds: patterns, and hosts with their names. */
export function checkMemberList(where: string, members: unknown): MemberList {
  const list = typeof members === "string" ? [members] : members;
  if (!Array.isArray(list))
    throw new InventoryError(
      `${where}: its hosts must be a pattern, a list or a function, got ${show(members)}`,
    );
  if (list.length > MAX_HOSTS)
    throw new InventoryError(`${where}: it has ${list.length} members, and at most ${MAX_HOSTS} are allowed`);
  for (const each of list as unknown[]) {
    if (typeof each !== "string" && !(isOptions(each) && "name" in each))
      throw new InventoryError(
        `${where}: a member must be a pattern or a host with a name, got ${show(each)}`,
      );
  }
  return list as MemberList;
}

function readVars(where: string, vars: unknown): Variables {
  if (vars === undefined) return {};
  if (!isOptions(vars))
    throw new InventoryError(`${where}: vars must be an object of values by name, got ${show(vars)}`);
  return { ...vars };
}

function entriesOf(where: string, table: unknown): [string, unknown][] {
  if (table === undefined) return [];
  if (!isOptions(table)) throw new InventoryError(`${where} must be an object, got ${show(table)}`);
  const entries = Object.entries(table).filter(([, value]) => value !== undefined);
  if (entries.length <= MAX_HOSTS) return entries;
  throw new InventoryError(`${where}: there are ${entries.length}, and at most ${MAX_HOSTS} are allowed`);
}

function checkKeys(where: string, value: object, known: readonly string[]): void {
  for (const key of Object.keys(value)) {
    if (!known.includes(key))
      throw new InventoryError(
        `${where} has no ${quote(key)}${didYouMean(key, known) || `; it has ${known.join(", ")}`}`,
      );
  }
}

/** Makes the error about an option one of the inventory, with its place. */
function checked<T extends object>(where: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    const refusal = refusalIn(error);
    if (refusal === undefined) throw error;
    throw new InventoryError(`${where}: ${refusal.replace(/^Cannot connect with \w+\(\): /, "")}`, {
      cause: error,
    });
  }
}

function withoutUndefined(options: object): object {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
}
