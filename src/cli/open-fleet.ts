import type { Provision } from "../connection/methods/method.ts";
import { Router } from "../connection/router.ts";
import { quote } from "../fleet/config/inventory-error.ts";
import { findConfig } from "../fleet/config/load-config.ts";
import { Fleet } from "../fleet/fleet.ts";
import type { FleetOptions, FleetRunOptions } from "../fleet/fleet-options.ts";
import type { Host, Step } from "../fleet/host.ts";
import { Inventory } from "../fleet/inventory/inventory.ts";
import { withBusyLimit } from "../process/busy-limit.ts";
import { oneLine } from "../text/harmless.ts";
import { Broker } from "../waiting/broker.ts";
import type { Call, OptionTable } from "./command.ts";
import { Events } from "./events.ts";
import { ExitStatus } from "./exit-status.ts";
import { readLastRun } from "./last-run.ts";
import { NO_PASSWORDS, type Passwords, takePasswords } from "./passwords.ts";
import { KeptFleet } from "./up/kept-fleet.ts";
import { ownRuns, type Runs } from "./up/runs.ts";
import { findUpSocket } from "./up/up-socket.ts";
import { UsageError } from "./usage-error.ts";
import { count, duration, readOption, share, shares } from "./values.ts";

/** A connect that takes longer is given up, even if the work may take longer. */
const CONNECT_TIMEOUT_MS = 30_000;

/** How long code of a config may let nothing else run. A synchronous command may wait for a person. */
const CONFIG_BUSY_MS = 5 * 60_000;

/** Which hosts, and how they are reached. */
export const HOST_OPTIONS: OptionTable = {
  on: {
    type: "string",
    multiple: true,
    value: "HOSTS",
    text: `hosts, such as web1,@db,!db3: names, globs, ranges web[1-9], @groups, !without, &only, and sources such as \
local:3 (three contexts on this machine), ssh:web*, docker:name*, kube:namespace/selector`,
  },
  inventory: {
    type: "string",
    value: "FILE",
    text: "the config; by default mitogen.config.{ts,js,json} in this folder or above",
  },
  "inventory-command": {
    type: "string",
    value: "COMMAND",
    text: "a command that prints the inventory as Ansible's dynamic inventories do",
  },
  limit: { type: "string", value: "N", text: "only the first N of these hosts" },
  rerun: {
    type: "string",
    value: "failed",
    text: "only hosts that were not ok in the last run from this folder; --on defaults to that run's hosts",
  },
};

/** How the hosts are connected. */
export const CONNECT_OPTIONS: OptionTable = {
  parallel: { type: "string", value: "N", text: "work on N hosts at once; 32 by default" },
  timeout: {
    type: "string",
    value: "TIME",
    text: "the longest time for each host, such as 60s or 5m; a connect is given up after 30 s in any case",
  },
  retry: {
    type: "string",
    value: "N",
    text: "try again up to N times on a host where the work failed; 0 by default",
  },
  sudo: { type: "optional", value: "USER", text: "as root, or as this user, by sudo" },
  "ask-sudo-password": { type: "boolean", text: "ask for the password of sudo once, before anything starts" },
  "ask-password": { type: "boolean", text: "ask for the password of logins once, before anything starts" },
  "password-command": {
    type: "string",
    value: "COMMAND",
    text: `a command whose first line of output is the password; in its environment, MITOGEN_PASSWORD_FOR is "login" or "sudo"`,
  },
  provision: {
    type: "optional",
    value: "KIND",
    text: `bring node to hosts that have none: "cache" (the default) keeps it there, "memory" does not`,
  },
  through: {
    type: "string",
    multiple: true,
    value: "HOSTS",
    text: "spread the work over these hosts, which connect to the others",
  },
};

/** How a run proceeds: in which batches, until how many failures, or not at all. */
const PACING_OPTIONS: OptionTable = {
  batch: {
    type: "string",
    value: "SIZES",
    text: "how many hosts to work on before the next ones, such as 1,10%,50%",
  },
  "max-fail": {
    type: "string",
    value: "N",
    text: "start no further host once more than this number or share of hosts, such as 10%, have failed",
  },
  "dry-run": { type: "boolean", text: "show what would be done on which hosts, without connecting" },
};

/** All of them: the options of commands that run something on hosts. */
export const FLEET_OPTIONS: OptionTable = { ...HOST_OPTIONS, ...CONNECT_OPTIONS, ...PACING_OPTIONS };

/** A fleet of a command, with what belongs to it. */
export interface OpenFleet extends AsyncDisposable {
  readonly inventory: Inventory;
  readonly hosts: readonly Host[];
  /** The patterns that named them. */
  readonly on: readonly string[];
  readonly fleet: Runs;
  /** The options of a run; its events go to the report. */
  readonly runOptions: FleetRunOptions;
  readonly events: Events;
}

/** What {@link selectHosts} found. */
export interface Selected {
  readonly inventory: Inventory;
  readonly hosts: Host[];
  readonly on: readonly string[];
}

/** The config that the options name, or the one of the folder. */
function configFile({ values }: Call): string | undefined {
  return (values["inventory"] as string | undefined) ?? findConfig(process.cwd());
}

/** Does work that runs code of the config. Ends the program if that code lets nothing else run for too long. */
async function limitConfig<T>(call: Call, work: () => Promise<T>): Promise<T> {
  const path = configFile(call);
  if (path === undefined || path.endsWith(".json")) return await work();
  const why =
    "its code let nothing else run for 5 minutes; look for an endless loop, or a command that does not end";
  const lastWords = oneLine(`mitogen: Cannot use ${quote(path)}: ${why}`);
  return await withBusyLimit(work, CONFIG_BUSY_MS, lastWords, ExitStatus.Usage);
}

/** Does work that runs code of the config, which a signal ends at once. */
async function runConfig<T>(call: Call, work: () => Promise<T>): Promise<T> {
  // The limit costs a thread, a fifth of what a short command takes. A person can press Ctrl-C instead.
  return await call.unguarded(call.out.isSeen ? work : () => limitConfig(call, work));
}

/** The inventory that the options name. */
export async function loadInventory(call: Call): Promise<Inventory> {
  const { values, signal } = call;
  const path = configFile(call);
  const inventoryCommand = values["inventory-command"] as string | undefined;
  const load = () => Inventory.load(path, { signal, inventoryCommand });
  // A signal must first end the process of the inventory command.
  return inventoryCommand === undefined ? await runConfig(call, load) : await limitConfig(call, load);
}

/** The hosts that a pattern means. */
export async function selectFrom(
  inventory: Inventory,
  pattern: string | readonly string[],
  call: Call,
): Promise<Host[]> {
  const select = () => inventory.select(pattern, { signal: call.signal });
  if (!inventory.hasFunctions) return await select();
  // Without a terminal, a signal must first end the commands of sources.
  return call.out.isSeen ? await runConfig(call, select) : await limitConfig(call, select);
}

/** The hosts that the options name. Runs the inventory; connects to nothing. Throws a UsageError or an InventoryError. */
export async function selectHosts(call: Call): Promise<Selected> {
  const { values } = call;
  const rerun = values["rerun"];
  if (rerun !== undefined && rerun !== "failed")
    throw new UsageError(`--rerun takes only "failed", got "${rerun}"`, call.name);
  const last = rerun === undefined ? undefined : readLastRun();
  const on = (values["on"] as string[] | undefined) ?? last?.on;
  if (on === undefined)
    throw new UsageError("Which hosts? Name them with --on, such as --on local:3 or --on @web", call.name);
  const inventory = await loadInventory(call);
  let hosts = await selectFrom(inventory, on, call);
  if (last !== undefined) {
    hosts = hosts.filter(({ name }) => Object.hasOwn(last.results, name) && last.results[name] !== "ok");
    if (hosts.length === 0)
      throw new UsageError("--rerun failed: no host of the last run has failed", call.name);
  }
  const limit = readOption(call, "limit", count);
  return { inventory, hosts: limit === undefined ? hosts : hosts.slice(0, limit), on };
}

/** The hosts that the options name, as they are to be connected. Asks for passwords; connects to nothing. */
export async function prepareFleet(
  call: Call,
  known?: Selected,
): Promise<Selected & { connectOptions: FleetOptions }> {
  const connectOptions = readConnectOptions(call);
  const selected = known ?? (await selectHosts(call));
  const through = call.values["through"] as string[] | undefined;
  const hops = through && (await selectFrom(selected.inventory, through, call));
  const passwords = await takePasswords(call);
  return {
    ...selected,
    hosts: selected.hosts.map((host) => withOptions(host, call, passwords)),
    connectOptions: {
      ...connectOptions,
      ...(hops !== undefined && { through: hops.map((host) => withPasswords(host, passwords)) }),
    },
  };
}

/** Selects hosts, asks for passwords, and begins to connect. The caller closes what it gets. */
export async function openFleet(call: Call): Promise<OpenFleet> {
  const { signal } = call;
  const events = new Events();
  const runOptions = { ...readRunOptions(call), signal, onEvent: events.emit };
  const selected = await selectHosts(call);
  const kept = await openKept(call, selected);
  if (kept !== undefined) {
    return { ...selected, fleet: kept, runOptions, events, [Symbol.asyncDispose]: () => kept.close() };
  }
  const { inventory, hosts, on, connectOptions } = await prepareFleet(call, selected);
  const broker = new Broker();
  try {
    const { concurrency } = connectOptions;
    // The router has a limit of its own.
    const router = new Router(broker, concurrency === undefined ? {} : { connectConcurrency: concurrency });
    const fleet = await Fleet.connect(router, hosts, { ...connectOptions, signal, onEvent: events.emit });
    return {
      inventory,
      hosts,
      on,
      fleet: ownRuns(fleet),
      runOptions,
      events,
      async [Symbol.asyncDispose]() {
        await fleet.close();
        await broker.shutdown();
      },
    };
  } catch (error) {
    await broker.shutdown();
    throw error;
  }
}

/** The hosts on connections that `mitogen up` keeps, if it keeps all of them. Prints a note if it keeps only some. */
async function openKept(call: Call, { hosts }: Selected): Promise<KeptFleet | undefined> {
  if (call.values["through"] !== undefined) return undefined;
  const socket = findUpSocket();
  if (socket === undefined) return undefined;
  const onLost = (lines: number): void => call.out.leaveOut(lines);
  const open = (wanted: Host[]) => KeptFleet.open(wanted, socket, call.signal, onLost);
  const kept = await open(hosts.map((host) => withOptions(host, call, NO_PASSWORDS)));
  if (typeof kept === "object") return kept;
  const below = call.values["sudo"] === undefined ? undefined : await open(hosts);
  if (typeof below === "object") return await asOther(below, call);
  const refusal = kept ?? below;
  if (refusal !== undefined) call.out.note(`mitogen: connecting anew: ${refusal}`);
  return undefined;
}

/** Starts sudo behind the kept connections, for this command alone. */
async function asOther(kept: KeptFleet, call: Call): Promise<KeptFleet> {
  try {
    const { sudo } = call.values;
    const { timeoutMs, provision } = readConnectOptions(call);
    const password = (await takePasswords(call, ["become"])).become;
    kept.become({
      ...(typeof sudo === "string" && { username: sudo }),
      ...(password !== undefined && { password }),
      ...(timeoutMs !== undefined && { timeoutMs }),
      ...(provision !== undefined && { provision }),
    });
    return kept;
  } catch (error) {
    await kept.close();
    throw error;
  }
}

function readRunOptions(call: Call): FleetRunOptions {
  const concurrency = readOption(call, "parallel", count);
  const timeoutMs = readOption(call, "timeout", duration);
  const retries = readOption(call, "retry", (text, option) => count(text, option, 0));
  const batch = readOption(call, "batch", shares);
  const maxFail = readOption(call, "max-fail", share);
  return {
    ...(concurrency !== undefined && { concurrency }),
    ...(timeoutMs !== undefined && { timeoutMs }),
    ...(retries !== undefined && { retries }),
    ...(batch !== undefined && { batch }),
    ...(maxFail !== undefined && { maxFail }),
  };
}

function readConnectOptions(call: Call): FleetOptions {
  const { concurrency, timeoutMs, retries } = readRunOptions(call);
  const provision = readProvision(call);
  return {
    ...(concurrency !== undefined && { concurrency }),
    ...(timeoutMs !== undefined && timeoutMs < CONNECT_TIMEOUT_MS && { timeoutMs }),
    ...(retries !== undefined && { retries }),
    ...(provision !== undefined && { provision }),
  };
}

function readProvision({ values, name }: Call): Provision | undefined {
  const kind = values["provision"];
  if (kind === undefined) return undefined;
  if (kind === true) return "cache";
  if (kind === "cache" || kind === "memory") return kind;
  throw new UsageError(`--provision must be cache or memory, got "${kind}"`, name);
}

/** The host with `--sudo` as a further step, and with the passwords. */
function withOptions(host: Host, { values }: Call, passwords: Passwords): Host {
  const { sudo } = values;
  if (sudo === undefined) return withPasswords(host, passwords);
  const step: Step = { sudo: typeof sudo === "string" ? { username: sudo } : {} };
  return withPasswords({ ...host, steps: [...host.steps, step] }, passwords);
}

/** The host, with the passwords in the steps that have none. */
function withPasswords(host: Host, { login, become }: Passwords): Host {
  const steps = host.steps.map((step): Step => {
    const [[method, options] = ["", {}]] = Object.entries(step) as [string, { password?: unknown }][];
    const password = method === "ssh" ? login : BECOME.has(method) ? become : undefined;
    if (password === undefined || options.password !== undefined) return step;
    return { [method]: { ...options, password } } as unknown as Step;
  });
  return { ...host, steps };
}

const BECOME: ReadonlySet<string> = new Set(["sudo", "su", "doas"]);
