import { ProvisionFailure, type RuntimePlan } from "../plan.ts";
import type { TargetFolder } from "./target-talk.ts";

/** The errors of targets without room. */
const NO_SPACE = /no space left|disk quota|file too large/i;
const FORBIDDEN = /not permitted|permission denied/i;

/** The failure if no folder can hold a runtime of `neededKib`. It says what is wrong with each folder. */
export function noFolder(folders: readonly TargetFolder[], neededKib: number): ProvisionFailure {
  const said = folders.map(
    ({ path, why, freeKib }) => `${path}: ${why ?? `only ${Math.floor((freeKib ?? 0) / 1024)} MiB free`}`,
  );
  const isFull = folders.some(({ why }) => why === undefined || NO_SPACE.test(why));
  if (isFull) {
    return new ProvisionFailure(
      "ERR_NO_SPACE",
      `no folder of the target has the ${Math.ceil(neededKib / 1024)} MiB that node needs (${said.join("; ")})`,
      'make room there, set XDG_CACHE_HOME there to a folder that has it, or pass provision: "memory"',
    );
  }
  return new ProvisionFailure(
    "ERR_PROVISION",
    `no folder of the target is suitable for a node (${said.join("; ") || "it named none"})`,
    'set XDG_CACHE_HOME there to one that can be written to and run from, pass provision: "memory", or install node',
  );
}

/**
 * Makes the failure from the report of a target that has not taken a runtime: `e KIND TEXT`. `place` is where it would
 * have been.
 */
export function notTaken(said: string, place: string, plan: RuntimePlan): ProvisionFailure {
  const [, kind = "", ...words] = said.split(" ");
  const text = words.join(" ");
  if (NO_SPACE.test(text)) {
    return new ProvisionFailure(
      "ERR_NO_SPACE",
      `there is no room for node in ${place} of the target: ${text}`,
      "make room there, or set XDG_CACHE_HOME there to a folder with room",
    );
  }
  if (kind === "sum" && /^[0-9a-f]*( +-)?$/.test(text)) {
    return new ProvisionFailure(
      "ERR_PROVISION",
      `what has arrived in ${place} of the target is not what was sent`,
      "connect again; if that does not help, check the disk and the memory of the target",
    );
  }
  if ((kind === "run" || kind === "memory") && FORBIDDEN.test(text)) {
    return new ProvisionFailure(
      "ERR_POLICY",
      `node may not be run in ${place} of the target: ${text}`,
      "check what SELinux, AppArmor or fapolicyd say there, the mount option noexec and the setting vm.memfd_noexec; or install node",
    );
  }
  if (kind === "run") {
    return new ProvisionFailure(
      "ERR_NO_RUNTIME",
      `node ${plan.version} does not run on the target: ${text || "it printed nothing"}`,
      `name one that runs there: runtimes: { "${plan.platform}-${plan.arch}": … }`,
    );
  }
  return new ProvisionFailure(
    "ERR_PROVISION",
    `the target could not store node in ${place}: ${text || said}`,
    "check that folder",
  );
}

/** Converts any error to the failure of a connect. */
export function failureOf(error: unknown): ProvisionFailure {
  if (error instanceof ProvisionFailure) return error;
  const message = error instanceof Error ? error.message : String(error);
  return Object.assign(
    new ProvisionFailure("ERR_PROVISION", `no node could be sent to the target: ${message}`, ""),
    {
      cause: error,
    },
  );
}
