import { lstatSync, mkdirSync, writeFileSync } from "node:fs";
import type { Session } from "node:inspector";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import type { Context } from "../core/context.ts";
import { connectionOf } from "../core/describe.ts";
import { FunctionRef } from "../functions/callable.ts";
import { API } from "../loader/builtins.ts";
import { ownRequire } from "../loader/own-require.ts";
import { getLogger } from "../logging/log.ts";
import { headOf } from "../wire/values/thrown.ts";
import { CpuProfile } from "./cpu-profile.ts";

/** How long ending contexts may take to send their profiles. A hung context sends none. */
const COLLECT_MS = 3000;
/** How long a context may take to begin its profile. */
const START_MS = 30_000;
const START = new FunctionRef<readonly [], void>(API, ["startProfile"]);
const STOP = new FunctionRef<readonly [], string>(API, ["stopProfile"]);
const EXTENSION = "cpuprofile";

const log = getLogger("mitogen.profile");

/** A thread has one profile. The routers of a process share it, and the last to end writes it. */
let own: CpuProfile | undefined;
let users = 0;

/**
 * CPU profiles of this process and of all contexts of one router, as `.cpuprofile` files on this machine. A
 * context's profile is fetched before the context is ended; a context that dies otherwise leaves none.
 * docs/debugging.md#profiles
 */
export class Profiles {
  /** Whether this process and every context are profiled, not only contexts whose connect asked for it. */
  readonly isOfAll: boolean;
  readonly #template: string;
  readonly #pending: Map<Context, Promise<void>> = new Map();

  /** Begins the profile of this process. Returns undefined unless the environment asks for profiles. */
  static fromEnvironment(): Profiles | undefined {
    return process.env.MITOGEN_PROFILING ? new Profiles(true) : undefined;
  }

  /** Throws if the folder of the profiles cannot be made. */
  static ofSomeContexts(): Profiles {
    return new Profiles(false);
  }

  private constructor(isOfAll: boolean) {
    this.isOfAll = isOfAll;
    this.#template = process.env.MITOGEN_PROFILE_FMT || join(ownFolder(), "{identity}.{pid}.{now}.{ext}");
    if (!isOfAll) return;
    users += 1;
    if (own !== undefined) return;
    const inspector = ownRequire()("node:inspector") as { Session: new () => Session };
    own = new CpuProfile(inspector);
  }

  /** Begins the profile of a context that has just been connected. */
  begin(context: Context): void {
    const started = context.with({ timeoutMs: START_MS }).call(START);
    const known = started.catch((error) => {
      log.warning(`${context.name} is not profiled: ${headOf(error)}`);
      this.#pending.delete(context);
    });
    this.#pending.set(context, known);
    void context.disconnected.then(() => this.#pending.delete(context));
  }

  /**
   * Fetches and writes the profiles of contexts that are about to end, each once. Takes at most three
   * seconds. Never rejects.
   */
  async collect(isMeant: (context: Context) => boolean): Promise<void> {
    const contexts = [...this.#pending.keys()].filter(isMeant);
    await Promise.all(contexts.map((context) => this.fetch(context)));
  }

  /** Writes the profile of this process. */
  end(): void {
    if (!this.isOfAll) return;
    users -= 1;
    if (users > 0 || own === undefined) return;
    const text = own.stop();
    own = undefined;
    this.write("master", process.pid, text);
  }

  private async fetch(context: Context): Promise<void> {
    this.#pending.delete(context);
    if (context.goneReason !== undefined) return;
    try {
      const text = await context.with({ timeoutMs: COLLECT_MS }).call(STOP);
      if (text === "") return;
      // Data from a child is hostile until checked. Only a profile that tools can load is written, under a
      // name of ours.
      const { nodes } = JSON.parse(text) as { nodes?: unknown };
      if (!Array.isArray(nodes)) throw new TypeError("the context sent no valid profile");
      this.write(context.name, connectionOf(context)?.pid ?? context.contextId, text);
    } catch (error) {
      log.warning(`No profile of ${context.name}: ${headOf(error)}`);
    }
  }

  private write(identity: string, pid: number, text: string): void {
    const values: Record<string, string> = {
      identity: identity.replace(/[^\w.@-]/g, "_"),
      pid: String(pid),
      now: String(Date.now()),
      ext: EXTENSION,
    };
    // `%(pid)s` is how Mitogen for Python writes it.
    const path = this.#template.replace(
      /%\((\w+)\)s|\{(\w+)\}/g,
      (all, one, other) => values[one ?? other] ?? all,
    );
    try {
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, text, { mode: 0o600 });
      log.info(`Wrote ${path}`);
    } catch (error) {
      log.error(`Cannot write profile: ${headOf(error)}`);
    }
  }
}

/**
 * Makes the folder, or takes one that an earlier router of this process made. Others may also write to the
 * temporary folder.
 */
function ownFolder(): string {
  const folder = join(tmpdir(), `mitogen-profiles-${process.pid}`);
  try {
    mkdirSync(folder, { mode: 0o700 });
  } catch (error) {
    const found = lstatSync(folder);
    if (!found.isDirectory() || found.uid !== process.getuid?.()) throw error;
  }
  return folder;
}
