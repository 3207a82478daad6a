import { isOptions, show } from "../../options/options.ts";
import { messageOf } from "../../wire/values/thrown.ts";
import type { GroupRecord, HostRecord, InventoryData, Variables } from "../config/config.ts";
import { InventoryError, quote } from "../config/inventory-error.ts";
import { checkName, MAX_HOSTS } from "../config/names.ts";
import { readHost } from "../config/read-config.ts";
import { within } from "../config/within.ts";
import { ansibleSteps } from "./ansible-steps.ts";
import { runSource } from "./run-source.ts";

interface Group {
  readonly hosts: readonly string[];
  readonly children: readonly string[];
  readonly vars: Variables;
}

/** Variables that no host gets: they are passwords of connections. */
const SECRET_VARIABLE = /^ansible_.*pass/;

/**
 * Adds the hosts and groups that a command prints in the JSON of Ansible's dynamic inventories. The command is a line for
 * `/bin/sh`. A host that the config has too is reached as the config says. Throws an InventoryError.
 */
export async function addInventoryCommand(
  data: InventoryData,
  command: string,
  signal: AbortSignal | undefined,
): Promise<void> {
  const what = `Cannot use the inventory command ${quote(command)}`;
  const ended = new AbortController();
  let output: string;
  try {
    output = await within(what.slice("Cannot ".length), signal, () =>
      runSource(what, ["/bin/sh", "-c", command], ended.signal),
    );
  } finally {
    ended.abort();
  }
  let json: unknown;
  try {
    json = JSON.parse(output);
  } catch (error) {
    throw new InventoryError(`${what}: it did not print JSON: ${messageOf(error)}`, { cause: error });
  }
  addAnsibleInventory(data, json, what);
}

/** Adds what the JSON holds. `what` begins errors. */
function addAnsibleInventory(data: InventoryData, json: unknown, what: string): void {
  if (!isOptions(json))
    throw new InventoryError(`${what}: it must print an object of groups, got ${show(json)}`);
  const entries = Object.entries(json);
  if (entries.length > MAX_HOSTS) throw new InventoryError(`${what}: it has more than ${MAX_HOSTS} groups`);
  const groups = new Map(
    entries.filter(([name]) => name !== "_meta").map(([name, group]) => [name, readGroup(what, name, group)]),
  );
  const hostvars = variablesOf(what, json);
  const parents = parentsOf(groups);
  const memberships = new Map<string, string[]>();
  const names = [...[...groups.values()].flatMap(({ hosts }) => hosts), ...hostvars.keys()];
  for (const name of names) if (!memberships.has(name)) memberships.set(name, []);
  if (memberships.size > MAX_HOSTS) throw new InventoryError(`${what}: it has more than ${MAX_HOSTS} hosts`);
  for (const [group, { hosts }] of groups)
    for (const host of new Set(hosts)) memberships.get(host)?.push(group);

  const all = groups.get("all")?.vars ?? {};
  for (const [name, direct] of memberships) {
    checkName(what, "host", name);
    const outer = outermostFirst(direct, parents, what);
    const levels = [all, ...outer.map((group) => groups.get(group)?.vars ?? {}), hostvars.get(name) ?? {}];
    // Not assigned, because a name may be `__proto__`.
    const vars = Object.fromEntries(levels.flatMap((each) => Object.entries(each)));
    const own = direct.filter((group) => group !== "all");
    addHost(data, what, name, vars, hostvars.get(name) ?? {}, own);
  }
  Object.assign(data, { vars: { ...shown(all), ...data.vars } });
  for (const [name, group] of groups) if (name !== "all") addGroup(data, what, name, group);
}

function addHost(
  data: InventoryData,
  what: string,
  name: string,
  effective: Variables,
  own: Variables,
  groups: readonly string[],
): void {
  const known = data.hosts.get(name);
  const merged = (host: HostRecord): HostRecord => ({
    ...host,
    vars: { ...shown(own), ...host.vars },
    groups: [...new Set([...host.groups, ...groups])],
  });
  if (known !== undefined) data.hosts.set(name, merged(known));
  else {
    const connect = ansibleSteps(`${what}: host ${quote(name)}`, name, effective);
    data.hosts.set(name, merged(readHost(what, name, connect, data.defaults)));
  }
}

/** The hosts of the group name it by themselves; here are the groups in it, and its variables. */
function addGroup(data: InventoryData, what: string, name: string, { children, vars }: Group): void {
  checkName(what, "group", name);
  const known = data.groups.get(name);
  const inner = children.map((child) => `@${child}`);
  if (typeof known?.members === "function" && inner.length > 0)
    throw new InventoryError(
      `${what}: group ${quote(name)} holds groups, and the config has a function for it`,
    );
  const members = known?.members ?? [];
  const record: GroupRecord = {
    name,
    members:
      typeof members === "function"
        ? members
        : [...(typeof members === "string" ? [members] : members), ...inner],
    vars: { ...shown(vars), ...known?.vars },
  };
  data.groups.set(name, record);
}

function readGroup(what: string, name: string, group: unknown): Group {
  const where = `${what}: group ${quote(name)}`;
  if (Array.isArray(group)) return { hosts: stringsOf(where, "hosts", group), children: [], vars: {} };
  if (!isOptions(group))
    throw new InventoryError(`${where} must be a list of hosts or an object, got ${show(group)}`);
  const { hosts, children, vars = {} } = group as { hosts?: unknown; children?: unknown; vars?: unknown };
  if (!isOptions(vars)) throw new InventoryError(`${where}: vars must be an object, got ${show(vars)}`);
  return {
    hosts: stringsOf(where, "hosts", hosts),
    children: stringsOf(where, "children", children),
    vars: { ...vars },
  };
}

function stringsOf(where: string, key: string, list: unknown = []): string[] {
  const isList =
    Array.isArray(list) && list.length <= MAX_HOSTS && list.every((each) => typeof each === "string");
  if (isList) return list as string[];
  throw new InventoryError(`${where}: ${key} must be a list of names, got ${show(list)}`);
}

function variablesOf(what: string, json: object): Map<string, Variables> {
  const { _meta: meta = {} } = json as { _meta?: unknown };
  const { hostvars = {} } = (isOptions(meta) ? meta : {}) as { hostvars?: unknown };
  if (!isOptions(hostvars))
    throw new InventoryError(`${what}: _meta.hostvars must be an object, got ${show(hostvars)}`);
  return new Map(
    Object.entries(hostvars).map(([name, vars]: [string, unknown]) => {
      if (isOptions(vars)) return [name, { ...vars }];
      throw new InventoryError(
        `${what}: the variables of ${quote(name)} must be an object, got ${show(vars)}`,
      );
    }),
  );
}

/** The groups that hold each group. Children that are nowhere described become groups too. */
function parentsOf(groups: Map<string, Group>): Map<string, string[]> {
  const parents = new Map<string, string[]>();
  for (const [name, { children }] of groups) {
    if (name === "all") continue;
    for (const child of children) {
      if (!groups.has(child)) groups.set(child, { hosts: [], children: [], vars: {} });
      parents.set(child, [...(parents.get(child) ?? []), name]);
    }
  }
  for (const child of groups.get("all")?.children ?? [])
    if (!groups.has(child)) groups.set(child, { hosts: [], children: [], vars: {} });
  return parents;
}

/** Groups and what holds them, as Ansible orders their variables: by depth, then by name. */
function outermostFirst(direct: readonly string[], parents: Map<string, string[]>, what: string): string[] {
  const depths = new Map<string, number>();
  const depth = (group: string, path: readonly string[]): number => {
    if (path.includes(group))
      throw new InventoryError(
        `${what}: groups hold each other in a circle: ${[...path, group].map(quote).join(" → ")}`,
      );
    const known = depths.get(group);
    if (known !== undefined) return known;
    const above = parents.get(group) ?? [];
    const found =
      above.length === 0 ? 1 : 1 + Math.max(...above.map((each) => depth(each, [...path, group])));
    depths.set(group, found);
    return found;
  };
  for (const group of direct) depth(group, []);
  return [...depths]
    .filter(([name]) => name !== "all")
    .sort(([a, m], [b, n]) => m - n || (a < b ? -1 : 1))
    .map(([name]) => name);
}

/** What functions may see of variables. */
function shown(vars: Variables): Variables {
  return Object.fromEntries(Object.entries(vars).filter(([name]) => !SECRET_VARIABLE.test(name)));
}
