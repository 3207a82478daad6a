import { maskOptions } from "../../diagnostics/mask-options.ts";
import type { Host, Step } from "../../fleet/config/host.ts";
import type { Inventory } from "../../fleet/inventory/inventory.ts";
import { oneLine } from "../../text/harmless.ts";
import type { Call, Command, Option } from "../command.ts";
import { ExitStatus } from "../exit-status.ts";
import { HOST_OPTIONS, loadInventory, selectFrom } from "../open-fleet.ts";
import { UsageError } from "../usage-error.ts";

/** How many characters of a host's variables are shown. */
const MAX_VARS = 200;
/** Shown in place of a value that JSON does not have. */
const NOT_JSON = "[value]";

const { inventory: INVENTORY, "inventory-command": INVENTORY_COMMAND } = HOST_OPTIONS;

export const command: Command = {
  name: "hosts",
  summary: "lists the hosts of the inventory, or those that a pattern selects",
  usage: ["[--on HOSTS] [--groups] [--vars] [--json]"],
  text: `Without --on, lists the hosts that the config names, and runs no source. With --on, lists the hosts that \
another command would work on. Does not connect to any host. Passwords are not shown.

--json prints { version: 1, hosts: [{ name, groups, vars, steps }], groups: [name] }.`,
  options: {
    on: {
      type: "string",
      multiple: true,
      value: "HOSTS",
      text: "hosts, such as web1,@db,!db3 or local:3; see mitogen help run",
    },
    inventory: INVENTORY as Option,
    "inventory-command": INVENTORY_COMMAND as Option,
    groups: {
      type: "boolean",
      text: "show the hosts by group; with --on, only the groups of these hosts",
    },
    vars: { type: "boolean", text: "show the variables of each host" },
    json: { type: "boolean", text: "print JSON: hosts with their steps, groups and variables" },
  },
  async run(call) {
    const { values, operands, out } = call;
    if (operands.length > 0)
      throw new UsageError(`Write the hosts after --on: --on ${operands.join(",")}`, "hosts");
    const inventory = await loadInventory(call);
    const on = values["on"] as string[] | undefined;
    const hasListed = inventory.hostNames().length > 0;
    const hosts = on !== undefined || hasListed ? await selectFrom(inventory, on ?? "@all", call) : [];
    if (values["json"] === true) printJson(call, inventory, hosts);
    else if (values["groups"] === true) await printGroups(call, inventory, hosts, on !== undefined);
    else {
      if (hosts.length === 0)
        out.note("The inventory lists no hosts; sources such as --on local:3 and addresses still work.");
      printHosts(call, hosts);
    }
    return ExitStatus.Ok;
  },
};

function printHosts({ values, out }: Call, hosts: readonly Host[]): void {
  const width = Math.min(40, Math.max(0, ...hosts.map(({ name }) => name.length)));
  for (const { name, steps, groups, vars } of hosts) {
    const memberships = groups.map((group) => `@${group}`).join(" ");
    const line = `${name.padEnd(width)}  ${steps.map(showStep).join(" > ")}${memberships === "" ? "" : `  ${memberships}`}`;
    out.print(oneLine(line));
    if (values["vars"] !== true) continue;
    for (const [key, value] of Object.entries(vars))
      out.print(oneLine(`${" ".repeat(width)}  ${key} = ${showValue(value)}`));
  }
}

/** Reports a group that fails, and shows the others. */
async function printGroups(
  call: Call,
  inventory: Inventory,
  hosts: readonly Host[],
  isNarrowed: boolean,
): Promise<void> {
  const { out, signal } = call;
  const names = inventory
    .groupNames()
    .filter((name) => !isNarrowed || hosts.some(({ groups }) => groups.includes(name)));
  for (const group of names) {
    let members: string[];
    try {
      members = (await selectFrom(inventory, `@${group}`, call)).map(({ name }) => name);
    } catch (error) {
      signal.throwIfAborted();
      out.note(oneLine(`@${group}  ${(error as Error).message}`));
      continue;
    }
    const shown = isNarrowed ? members.filter((name) => hosts.some((host) => host.name === name)) : members;
    out.print(oneLine(`@${group}  ${shown.join(" ")}`));
  }
}

function printJson({ out }: Call, inventory: Inventory, hosts: readonly Host[]): void {
  const document = {
    version: 1,
    hosts: hosts.map(({ name, groups, vars, steps }) => ({ name, groups, vars, steps: steps.map(maskStep) })),
    groups: inventory.groupNames(),
  };
  out.print(JSON.stringify(document, (_key, value) => (isJson(value) ? value : NOT_JSON), 2));
}

/** How a person would say it: `ssh ada@10.0.0.1:22`, `sudo root`, `docker web1`. */
function showStep(step: Step): string {
  const [method = "", options = {}] = Object.entries(step)[0] ?? [];
  const { hostname, username, port, container, image, pod, command } = options as Record<string, unknown>;
  if (method === "ssh")
    return `ssh ${username === undefined ? "" : `${username}@`}${hostname}${port === undefined ? "" : `:${port}`}`;
  const target = container ?? image ?? pod ?? (Array.isArray(command) ? command[0] : username);
  return target === undefined ? method : `${method} ${target}`;
}

function maskStep(step: Step): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(step).map(([method, options]) => [method, maskOptions(options as object)]),
  );
}

function showValue(value: unknown): string {
  const text = JSON.stringify(value, (_key, each) => (isJson(each) ? each : NOT_JSON)) ?? NOT_JSON;
  return text.length > MAX_VARS ? `${text.slice(0, MAX_VARS)}…` : text;
}

function isJson(value: unknown): boolean {
  return !["bigint", "function", "symbol"].includes(typeof value);
}
