import { StreamError } from "../../../errors.ts";
import { text } from "../../../options/option-types.ts";
import { readOptions, takeOption } from "../../../options/options.ts";
import { importLate } from "../../../process/late-import.ts";
import { messageOf } from "../../../wire/values/thrown.ts";
import type { StoredRuntime } from "./store.ts";

/** A node that is packed, and can be brought to targets without node: docs/provision.md. */
export interface RuntimeInfo {
  /** The SHA-256 of the unpacked runtime, which is its name on targets. */
  readonly hash: string;
  /** The platform in Node's words: `linux`. */
  readonly platform: string;
  /** The architecture in Node's words: `x64`, `arm64`. */
  readonly arch: string;
  /** What the executable was linked for. */
  readonly libc: "glibc" | "musl" | "static";
  /** The version: `v22.12.0`. Empty for another architecture, because that node cannot be asked here. */
  readonly version: string;
  /** How many bytes a target is sent. */
  readonly packedBytes: number;
  /** How many bytes the runtime takes on the target. */
  readonly rawBytes: number;
  /**
   * Whether the libraries that it needs are part of it. Then it also runs on targets with older libraries, or
   * others.
   */
  readonly hasLibraries: boolean;
  /** Whether it was added with {@link addRuntime}. */
  readonly isAdded: boolean;
}

/** Options of {@link addRuntime}. */
export interface AddRuntimeOptions {
  /**
   * The URL of Node's distributions. By default that of the environment variable NODEJS_ORG_MIRROR, or Node's own
   * site.
   */
  readonly mirror?: string | undefined;
}

type Storing = typeof import("./storing.ts");

/**
 * Packs a node for targets with another system than the program's, and keeps it in
 * `$XDG_CACHE_HOME/mitogen/runtimes`. `source` is an executable, or a folder or an archive of Node's
 * distribution. It may also be a system, `linux-arm64` or `linux-arm64@22`: then the distribution is fetched
 * and compared with its published sum. Rejects with a StreamError, whose code is `ERR_NO_RUNTIME`.
 *
 * ```ts
 * await addRuntime("linux-arm64@22");
 * await addRuntime("/srv/node-v22.12.0-linux-arm64.tar.gz");
 * ```
 */
export async function addRuntime(source: string, options: AddRuntimeOptions = {}): Promise<RuntimeInfo> {
  const path = takeOption("add a runtime", "the first argument", source, text);
  const { mirror } = readOptions("add a runtime", options, { mirror: text });
  const { addToStore } = await load();
  try {
    return infoOf(await addToStore(path, mirror));
  } catch (error) {
    const { code = "ERR_NO_RUNTIME", hint } = error as { code?: string; hint?: string };
    const cure = hint === undefined || hint === "" ? "" : `; ${hint}`;
    const failure = new StreamError(`Cannot add the runtime ${path}: ${messageOf(error)}${cure}`, {
      cause: error,
    });
    throw Object.assign(failure, { code: code.startsWith("ERR_") ? code : "ERR_NO_RUNTIME" });
  }
}

/** Lists the runtimes that this user's programs have packed or added. */
export async function listRuntimes(): Promise<RuntimeInfo[]> {
  return (await load()).runtimeStore.list().map(infoOf);
}

/**
 * Removes all runtimes, or the one with that hash, from this machine. Returns how many it has removed.
 * Targets keep their copies.
 */
export async function clearRuntimes(hash?: string): Promise<number> {
  const wanted = hash === undefined ? undefined : takeOption("clear runtimes", "the hash", hash, text);
  return (await load()).runtimeStore.clear(wanted);
}

function load(): Promise<Storing> {
  return importLate(() => import("./storing.ts"));
}

function infoOf(runtime: StoredRuntime): RuntimeInfo {
  const { hash, platform, arch, libc, version, packedBytes, rawBytes, own, isAdded } = runtime;
  return {
    hash,
    platform,
    arch,
    libc,
    version,
    packedBytes,
    rawBytes,
    hasLibraries: own !== undefined,
    isAdded,
  };
}
