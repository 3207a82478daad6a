import type { RunOptions } from "../commands/run-options.ts";
import { RUN_OPTIONS } from "../commands/run-options.ts";
import { type Provision, provision } from "../connection/methods/method.ts";
import type { Context } from "../core/context.ts";
import { callback, duration, flag, limit, retryCount, WAIT_OPTIONS } from "../options/option-types.ts";
import {
  isOptions,
  misuse,
  type OptionTable,
  type OptionType,
  readList,
  show,
  takeOption,
} from "../options/options.ts";
import type { WaitOptions } from "../waiting/wait.ts";
import type { Secret } from "../wire/values/secret.ts";
import type { Host, Step, StepMethod } from "./config/host.ts";
import type { OnFleetEvent } from "./engine/result.ts";

/** Options of `Fleet.connect`. `signal` ends the connects that run and prevents others. */
export interface FleetOptions extends Pick<WaitOptions, "signal"> {
  /**
   * How many connects run at once, here and in each hop of `through`; 32 by default. The router has a limit of its
   * own, `connectConcurrency`.
   */
  readonly concurrency?: number | undefined;
  /** The longest time in milliseconds for each connect of a step that has no `timeoutMs`; 30,000 by default. */
  readonly timeoutMs?: number | undefined;
  /** How often a failed connect is tried again, if another try may help; 0 by default. */
  readonly retries?: number | undefined;
  /** What to do for targets without node, unless a step says otherwise: docs/provision.md. */
  readonly provision?: Provision | undefined;
  /** Called with `connecting` and `connected` events. */
  readonly onEvent?: OnFleetEvent | undefined;
  /** Returns an existing context of a host, or undefined. The fleet uses this context and does not end it. */
  readonly connect?: ((host: Host) => Promise<Context | undefined>) | undefined;
  /**
   * Hops that connect the hosts of the fleet and run the work: docs/fleet.md#through. The hosts are distributed evenly.
   */
  readonly through?: Iterable<Host> | PromiseLike<Iterable<Host>> | undefined;
}

/** Options of a run. `signal` ends the run: hosts that have not ended become `skipped`. */
export interface FleetRunOptions extends Pick<WaitOptions, "signal"> {
  /** On how many hosts the work runs at the same time; 32 by default, or 32 for each hop of `through`. */
  readonly concurrency?: number | undefined;
  /**
   * The sizes of batches: numbers of hosts, or percentages of all hosts such as `"10%"`. A batch begins when the one
   * before has ended. The last size is repeated. By default all hosts are one batch.
   */
  readonly batch?: number | string | readonly (number | string)[] | undefined;
  /**
   * How many hosts may fail or be unreachable: a number, or a percentage of all hosts. Once more have failed, no
   * further host begins. By default there is no limit.
   */
  readonly maxFail?: number | string | undefined;
  /** The longest time for the work on each host, all tries together, in milliseconds. Without it there is no limit. */
  readonly timeoutMs?: number | undefined;
  /** How often work that failed is tried again on its host; 0 by default. */
  readonly retries?: number | undefined;
  /**
   * Whether the work may be done twice. If true, a host that is lost is connected again, once, and the work is
   * repeated. False by default.
   */
  readonly repeatable?: boolean | undefined;
  /**
   * Called with every event of the run, in order. If it returns a promise for output of a command, the command waits
   * for it, so that a slow reader is not flooded. Functions do not wait.
   */
  readonly onEvent?: OnFleetEvent | undefined;
}

/** Options of `fleet.exec`: those of a run, and those of `run()` that make sense for many hosts. */
export interface FleetExecOptions
  extends FleetRunOptions,
    Pick<RunOptions, "cwd" | "env" | "shell" | "user" | "check" | "maxOutputBytes" | "stripFinalNewline"> {
  /** The input for the command's stdin on every host; empty by default. */
  readonly input?: string | Uint8Array | Secret | undefined;
}

/** A number of hosts, or a percentage of all of them. */
export interface Share {
  readonly count?: number;
  readonly percent?: number;
}

const SHARE = /^(\d{1,9})(%?)$/;

function takeShare(value: unknown, refuse: Parameters<OptionType<Share>["take"]>[1], min: number): Share {
  if (typeof value === "number") {
    if (!Number.isSafeInteger(value) || value < min) throw refuse("ERR_OUT_OF_RANGE");
    return { count: value };
  }
  if (typeof value !== "string") throw refuse("ERR_INVALID_ARG_TYPE");
  const [, digits, sign] = SHARE.exec(value) ?? [];
  if (digits === undefined) throw refuse("ERR_INVALID_ARG_VALUE");
  const number = Number(digits);
  if (number < min || (sign === "%" && number > 100)) throw refuse("ERR_OUT_OF_RANGE");
  return sign === "%" ? { percent: number } : { count: number };
}

const maxFail: OptionType<Share> = {
  wanted: 'an integer from 0, or a percentage such as "10%"',
  take: (value, refuse) => takeShare(value, refuse, 0),
};

const batch: OptionType<readonly Share[]> = {
  wanted: 'an integer from 1, a percentage such as "10%", or a list of these',
  take(value, refuse) {
    if (!Array.isArray(value)) return [takeShare(value, refuse, 1)];
    if (value.length === 0 || value.length > MAX_BATCHES) throw refuse("ERR_OUT_OF_RANGE");
    return Array.from(value, (each, index) => takeShare(each, (code) => refuse(code, `[${index}]`, each), 1));
  },
};

const MAX_BATCHES = 1000;

/** The options of a run, checked. */
export type TakenRunOptions = Omit<FleetRunOptions, "batch" | "maxFail"> & {
  readonly batch?: readonly Share[];
  readonly maxFail?: Share;
};

export const FLEET_OPTIONS: OptionTable<FleetOptions> = {
  concurrency: limit,
  timeoutMs: duration,
  retries: retryCount,
  provision,
  signal: WAIT_OPTIONS.signal,
  onEvent: callback as OptionType<OnFleetEvent>,
  connect: callback as OptionType<(host: Host) => Promise<Context | undefined>>,
  through: { wanted: "a list of hosts", take: (value) => value as Iterable<Host> },
};

export const FLEET_RUN_OPTIONS: OptionTable<TakenRunOptions> = {
  concurrency: limit,
  batch,
  maxFail,
  timeoutMs: duration,
  retries: retryCount,
  repeatable: flag,
  signal: WAIT_OPTIONS.signal,
  onEvent: callback as OptionType<OnFleetEvent>,
};

const { cwd, env, shell, user, check, maxOutputBytes, stripFinalNewline, input } = RUN_OPTIONS;
export const COMMAND_OPTIONS: OptionTable<Omit<FleetExecOptions, keyof FleetRunOptions>> = {
  cwd,
  env,
  shell,
  user,
  check,
  maxOutputBytes,
  stripFinalNewline,
  input: {
    wanted: "a string, a Secret or bytes",
    take(value, refuse) {
      const taken = input.take(value, refuse);
      // Anything else can be read only once, and there are many hosts.
      if (typeof taken === "string" || taken instanceof Uint8Array || "reveal" in taken) return taken;
      throw refuse("ERR_INVALID_ARG_TYPE");
    },
  },
};

/** The methods that a step may use. */
const METHODS: Readonly<Record<StepMethod, true>> = {
  local: true,
  ssh: true,
  sudo: true,
  su: true,
  doas: true,
  docker: true,
  podman: true,
  buildah: true,
  kubectl: true,
  lxc: true,
  lxd: true,
  incus: true,
  jail: true,
  setns: true,
  exec: true,
};

/** Checks the hosts of a fleet: their shape, and that no two have the same name. */
export function readHosts(what: string, name: string, given: unknown): Host[] {
  const hosts = readList<unknown>(what, name, "a list of hosts", given as Iterable<unknown>);
  const names = new Set<string>();
  return hosts.map((each, index) => {
    const host = takeOption(what, `${name}[${index}]`, each, HOST);
    if (names.has(host.name)) {
      throw misuse("ERR_INVALID_ARG_VALUE", `Cannot ${what}: two hosts are named ${show(host.name)}`);
    }
    names.add(host.name);
    return host;
  });
}

const HOST: OptionType<Host> = {
  wanted:
    "a host: an object with a name and a list of steps, such as { name, steps: [{ ssh: { hostname } }] }",
  take(value, refuse) {
    if (!isOptions(value)) throw refuse("ERR_INVALID_ARG_TYPE");
    const { name, groups = [], vars = {}, steps } = value as Partial<Host>;
    if (typeof name !== "string" || name === "") throw refuse("ERR_INVALID_ARG_VALUE", ".name", name);
    if (!Array.isArray(steps) || steps.length === 0) throw refuse("ERR_INVALID_ARG_VALUE", ".steps", steps);
    for (const [index, step] of steps.entries())
      checkStep(step, (given) => refuse("ERR_INVALID_ARG_VALUE", `.steps[${index}]`, given));
    return { name, groups, vars, steps: [...(steps as Step[])] };
  },
};

function checkStep(step: unknown, refuse: (given: unknown) => Error): void {
  const methods = isOptions(step) ? Object.keys(step) : [];
  const [method = ""] = methods;
  const isKnown = methods.length === 1 && Object.hasOwn(METHODS, method);
  if (!isKnown || !isOptions((step as Record<string, unknown>)[method])) throw refuse(step);
}
