import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { TestContext } from "node:test";
import { fileURLToPath } from "node:url";

export interface LabUser {
  name: string;
  /** The login shell. */
  shell: string;
  home: string;
  /** What sshd sets as PATH. */
  path: string;
  /** What sshd takes. Accounts with `password` or `both` have theirs in a file, see Lab. */
  login: "key" | "password" | "both";
  /** The Node that PATH leads to, or null where it leads to none. */
  node: string | null;
  /** Only where `node` is null: absolute paths at which this machine has one all the same. */
  nodesElsewhere?: string[];
  note?: string;
}

/** A part of the lab that may be unable to run on this machine. */
export type LabPart<T> = ({ available: true } & T) | { available: false; reason: string };

/** Somewhere an SSH server listens. */
export interface LabHost {
  host: string;
  port: number;
}

/**
 * A container with `sh`, `node` on PATH, real `su` and `sudo`, root and `app`; both have the password of
 * `become`.
 */
export interface LabContainer {
  /**
   * A program to be used as the tool's path: it brings the lab's own daemon, storage and settings with it.
   */
  path: string;
  container: string;
  /** Of its first process, as this machine counts: for nsenter. */
  leaderPid: number;
}

/** What connection methods beyond ssh need. */
export interface LabMethods {
  become: {
    /** One password for all of `users`, and for root and app in every container. */
    passwordFile: string;
    /** Of other rules each; see scripts/lab/become.mjs. */
    users: LabUser[];
    /** The account that the others may become. */
    target: string;
    tools: { sudo: string; su: string; doas: string; script: string };
    /**
     * PAM asks `both` for the password and a code, when that calls sudo and when others become it with su;
     * `codeOnly` is asked for the code alone, by sudo. `oathFile` is pam_oath's list of users.
     */
    oneTime: { secretFile: string; oathFile: string; both: string; codeOnly: string };
  };
  docker: LabContainer & { socket: string; image: string; user: string };
  podman: LabContainer & { image: string; user: string };
  /** Has no process between two commands. */
  buildah: { path: string; container: string; user: string };
  /** `path` is lxc-attach, `infoPath` is lxc-info. */
  lxc: LabContainer & { infoPath: string };
  /** `path` is lxc, the client. */
  lxd: LabContainer;
  /** Registered nowhere: only `nsenter` by pid gets in. */
  nspawn: { machine: string; leaderPid: number };
  kubectl: {
    /** The newest of `clients`. */
    path: string;
    version: string;
    protocol: "WebSocket" | "SPDY";
    clients: { path: string; version: string; protocol: "WebSocket" | "SPDY" }[];
    kubeconfig: string;
    pod: string;
    container: string;
    leaderPid: number;
  };
  /** Every account may log in at both with the lab's key, and at `outer` has that key itself. */
  bastion: { outer: LabHost; inner: LabHost; knownHosts: string };
  dropbear: LabHost & { knownHosts: string };
  /** For a machine with arm64 processors: qemu, libraries, a node. Only where the kernel is new enough. */
  arm64: { qemu: string; libraries: string; node: string };
  /** Machines without a usable node; scripts/lab/nodeless-hosts.mjs tells what each is like. */
  nodeless: {
    port: number;
    knownHosts: string;
    /** The account that can log in everywhere; at `debian`, and at those with its root, all accounts can. */
    account: string;
    /** Of docker: busybox, and no library. */
    image: string;
    /** By name: the address, and where its root file system is seen from this machine. */
    hosts: Record<string, { host: string; root: string }>;
  };
}

/** What `scripts/lab.mjs` has brought up on this machine, as `.lab/lab.json` tells. */
export interface Lab extends Partial<{ [Name in keyof LabMethods]: LabPart<LabMethods[Name]> }> {
  ssh: {
    host: string;
    port: number;
    /** Here the daemon's host key is not the one that `knownHosts` holds. */
    otherPort: number;
    users: LabUser[];
    identityFile: string;
    /** A key that no account accepts. */
    strangerFile: string;
    /** Holds the password of `mitogen-password`, which accepts no key. */
    passwordFile: string;
    knownHosts: string;
    /** An ssh_config in which every account's name is a host, and so is `changed-key`. */
    config: string;
  };
  /** Executables by major version. Every account may run them. */
  nodes: Record<string, string>;
  /** The Node that brought the lab up, at a path that every account may run. */
  node: string;
}

/** The root of the repository, from `tests/` and from `build/tests/` alike. */
export const repoRoot: string = findRoot(dirname(fileURLToPath(import.meta.url)));

/** The lab, or undefined where tests may do without one. Throws in CI, where nothing may be skipped. */
export function lab(): Lab | undefined {
  const reason = missing();
  if (!reason) return JSON.parse(readFileSync(labFile(), "utf8")) as Lab;
  if (isCi()) throw new Error(reason);
  return undefined;
}

/** For the `skip` option of a test: false, or why it cannot run here. Throws in CI. */
export function skipReason(): string | false {
  const reason = missing();
  if (reason && isCi()) throw new Error(reason);
  return reason;
}

/** The lab, or undefined after skipping `t`. Throws in CI. */
export function needsLab(t: Pick<TestContext, "skip">): Lab | undefined {
  const reason = skipReason();
  if (reason) t.skip(reason);
  return reason ? undefined : lab();
}

/** One part of the lab, or undefined after skipping `t` where it is missing. Throws in CI. */
export function needsPart<Name extends keyof LabMethods>(
  t: Pick<TestContext, "skip">,
  name: Name,
): LabMethods[Name] | undefined {
  const found = needsLab(t);
  if (!found) return undefined;
  const part = found[name] as LabPart<LabMethods[Name]> | undefined;
  if (part?.available) return part;
  const reason = `Needs ${name}: ${part?.reason ?? "run node scripts/lab.mjs"}`;
  if (isCi()) throw new Error(reason);
  t.skip(reason);
  return undefined;
}

/** Executables of the lab by major version; empty where there is no lab. */
export const nodes: Readonly<Record<string, string>> = lab()?.nodes ?? {};

function missing(): string | false {
  if (!isCi()) return "Needs the test lab: run with CI=true, as root on Debian";
  if (process.getuid?.() !== 0) return "Needs the test lab, which needs root";
  if (!existsSync(labFile())) return "Needs the test lab: run node scripts/lab.mjs";
  return false;
}

function isCi(): boolean {
  return process.env["CI"] === "true";
}

function labFile(): string {
  return join(repoRoot, ".lab", "lab.json");
}

function findRoot(folder: string): string {
  if (existsSync(join(folder, "scripts", "lab.mjs"))) return folder;
  return findRoot(dirname(folder));
}
