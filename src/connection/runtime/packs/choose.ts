import { existsSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { OWN_NODE } from "../../../process/own-node.ts";
import { systemOf } from "../../failures/diagnosis.ts";
import { ProvisionFailure, type RuntimePlan, type RuntimeSupply } from "../plan.ts";
import type { RuntimeStore } from "./store.ts";

/**
 * Executables by system: `linux-x64`, `linux-arm64`, `linux-x64-musl`; a file, or a folder of Node's
 * distribution.
 */
export type Runtimes = Readonly<Record<string, string>>;

/** The oldest node that is brought; contexts themselves run on older ones. */
const MIN_MAJOR = 16;

/** The program's own supply: packs what it chooses, once. */
export class ProgramSupply implements RuntimeSupply {
  readonly #store: RuntimeStore;
  readonly #runtimes: Runtimes;

  constructor(store: RuntimeStore, runtimes: Runtimes) {
    this.#store = store;
    this.#runtimes = runtimes;
  }

  /**
   * The first of these: the `runtimes` option, this program's own node, added runtimes, an installed package
   * `node-<system>`. If the option also has one for musl, that one comes as well.
   */
  async choose(system: string): Promise<readonly RuntimePlan[]> {
    const { platform, arch } = systemOf(system);
    const name = `${platform}-${arch}`;
    const plans: RuntimePlan[] = [];
    for (const key of [name, `${name}-musl`]) {
      const path = this.#runtimes[key];
      if (path === undefined) continue;
      const plan = await this.#store.packed(executableIn(path));
      // Any node that runs there will do for musl.
      plans.push(key === name ? plan : { ...plan, libc: "musl" });
    }
    if (plans.length > 0) return plans;
    const fits = (plan: RuntimePlan): boolean => plan.platform === platform && plan.arch === arch;
    const isOwn = platform === process.platform && arch === process.arch && OWN_NODE.length > 0;
    if (isOwn && Number.parseInt(process.versions.node, 10) >= MIN_MAJOR) {
      return [await this.#store.packed(process.execPath)];
    }
    const added = this.#store.list().filter((each) => each.isAdded && fits(each));
    if (added.length > 0) return added.reverse();
    const installed = packageNode(name);
    if (installed !== undefined) return [await this.#store.packed(installed)];
    throw new ProvisionFailure(
      "ERR_NO_RUNTIME",
      `there is no node for the target's system, ${name} (${system})`,
      `add one with addRuntime("${name}@22"), name one as runtimes: { "${name}": … } of the Router, or install the package node-${name}`,
    );
  }

  read(plan: RuntimePlan, offset: number): Promise<Uint8Array> {
    return this.#store.read(plan, offset);
  }
}

/** A file as it is; for a folder, the executable of the distribution or package in it. */
export function executableIn(path: string, hint = "check the option runtimes of the Router"): string {
  try {
    if (!statSync(path).isDirectory()) return path;
  } catch (cause) {
    throw Object.assign(new ProvisionFailure("ERR_NO_RUNTIME", `there is no ${path}`, hint), { cause });
  }
  const found = ["bin/node", "node"].map((each) => join(path, each)).find((each) => existsSync(each));
  if (found !== undefined) return found;
  throw new ProvisionFailure(
    "ERR_NO_RUNTIME",
    `the folder ${path} has no bin/node`,
    "name the executable itself",
  );
}

/** The executable of a package that is installed for the program, or beside this library. */
function packageNode(name: string): string | undefined {
  for (const from of [join(process.cwd(), "package.json"), process.argv[1], import.meta.url]) {
    if (from === undefined) continue;
    try {
      const root = createRequire(from).resolve(`node-${name}/package.json`);
      const path = join(root, "../bin/node");
      if (existsSync(path)) return path;
    } catch {
      // It is not installed there.
    }
  }
  return undefined;
}
