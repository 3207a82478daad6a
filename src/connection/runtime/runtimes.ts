import { importLate } from "../../core/late-import.ts";
import { text } from "../../core/option-types.ts";
import { readOptions, takeOption } from "../../core/options.ts";
import { StreamError } from "../../errors.ts";
import { messageOf } from "../../wire/thrown.ts";
import type { StoredRuntime } from "./store.ts";

/** A node that is packed and ready to be brought to targets without one: docs/provision.md. */
export interface RuntimeInfo {
  /** SHA-256 of what it is unpacked to; its name on targets. */
  readonly hash: string;
  /** `linux` */
  readonly platform: string;
  /** `x64`, `arm64` */
  readonly arch: string;
  readonly libc: "glibc" | "musl" | "static";
  /** `v22.12.0`; empty for one of another architecture, which cannot be asked here. */
  readonly version: string;
  /** What a target is sent. */
  readonly packedBytes: number;
  /** What it takes there. */
  readonly rawBytes: number;
  /** It comes with the system's libraries it needs, so that it also runs where these are older, or others. */
  readonly hasLibraries: boolean;
  /** It was added with {@link addRuntime}. */
  readonly isAdded: boolean;
}

export interface AddRuntimeOptions {
  /** Where Node's distributions are; by default NODEJS_ORG_MIRROR of the environment, or Node's own site. */
  readonly mirror?: string | undefined;
}

type Storing = typeof import("./storing.ts");

/**
 * Packs a node for targets of another system than the program's, and keeps it in `$XDG_CACHE_HOME/mitogen/runtimes`. `source` is an executable, a folder or an archive of
 * Node's distribution; or a system, `linux-arm64` or `linux-arm64@22`, whose distribution is fetched and compared with its published sum. Rejects with a
 * StreamError, whose code is `ERR_NO_RUNTIME`.
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

/** The runtimes that this user's programs have packed or added. */
export async function listRuntimes(): Promise<RuntimeInfo[]> {
  return (await load()).runtimeStore.list().map(infoOf);
}

/** Removes all of them, or the one with that hash, from this machine; answers how many there were. Targets keep theirs. */
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
