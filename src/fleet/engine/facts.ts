import { readFileSync } from "node:fs";
import {
  arch,
  cpus,
  freemem,
  hostname,
  loadavg,
  platform,
  release,
  totalmem,
  uptime,
  userInfo,
} from "node:os";

/** What `fleet.facts()` gathers on a host. */
export interface Facts {
  /** The name that the machine gives itself. */
  readonly hostname: string;
  /** In Node's words: `linux`, `darwin`. */
  readonly platform: string;
  /** In Node's words: `x64`, `arm64`. */
  readonly arch: string;
  /** The release of the kernel: `6.1.0-30-amd64`. */
  readonly kernel: string;
  /** From `/etc/os-release`; empty strings where there is none. */
  readonly os: {
    /** `ID`: `debian`. */
    readonly id: string;
    /** `VERSION_ID`: `12`. */
    readonly version: string;
    /** `PRETTY_NAME`: `Debian GNU/Linux 12 (bookworm)`. */
    readonly name: string;
  };
  /** How many CPUs the machine has. */
  readonly cpus: number;
  /** All memory of the machine, in bytes. */
  readonly totalMemoryBytes: number;
  /** Unused memory, in bytes. */
  readonly freeMemoryBytes: number;
  /** The load averages of 1, 5 and 15 minutes. */
  readonly load: readonly [number, number, number];
  /** How long the machine has been up, in seconds. */
  readonly uptimeSeconds: number;
  /** The version of the node that the context runs in: `v20.19.5`. */
  readonly nodeVersion: string;
  /** The user that the context runs as. A number where the account has no name. */
  readonly user: string;
}

/** Gathers the facts of the machine that this runs on. */
export function gatherFacts(): Facts {
  const release_ = osRelease();
  return {
    hostname: hostname(),
    platform: platform(),
    arch: arch(),
    kernel: release(),
    os: {
      id: release_["ID"] || "",
      version: release_["VERSION_ID"] || "",
      name: release_["PRETTY_NAME"] || "",
    },
    cpus: cpus().length,
    totalMemoryBytes: totalmem(),
    freeMemoryBytes: freemem(),
    load: loadavg() as [number, number, number],
    uptimeSeconds: Math.round(uptime()),
    nodeVersion: process.version,
    user: userName(),
  };
}

/** The variables of os-release(5). */
function osRelease(): Record<string, string> {
  const found: Record<string, string> = Object.create(null);
  for (const path of ["/etc/os-release", "/usr/lib/os-release"]) {
    try {
      for (const line of readFileSync(path, "utf8").split("\n")) {
        const [, name, value] = /^([A-Z_]+)=(.*)$/.exec(line) || [];
        if (name !== undefined && value !== undefined) found[name] = unquoted(value);
      }
      return found;
    } catch {
      // Not on this system.
    }
  }
  return found;
}

function unquoted(value: string): string {
  const [first = ""] = value;
  const isQuoted = value.length > 1 && (first === '"' || first === "'") && value.endsWith(first);
  return (isQuoted ? value.slice(1, -1) : value).replace(/\\(["$`\\])/g, "$1");
}

function userName(): string {
  try {
    return userInfo().username;
  } catch {
    return String(process.getuid ? process.getuid() : "");
  }
}
