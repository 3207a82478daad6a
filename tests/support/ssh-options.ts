import type { SshOptions } from "../../src/index.ts";
import { lab } from "./lab.ts";

/**
 * How to reach an account of the lab's sshd, with its key and its known_hosts and nothing of this machine's
 * own.
 */
export function sshTo(username: string, changes: Partial<SshOptions> = {}): SshOptions {
  const found = lab();
  if (found === undefined) throw new Error("There is no lab");
  const { host, port, identityFile, knownHosts } = found.ssh;
  return {
    hostname: host,
    port,
    username,
    identityFile,
    ...changes,
    // The first value of an option counts: a caller's comes before ours.
    sshArgs: ["-F", "/dev/null", ...(changes.sshArgs ?? []), "-o", `UserKnownHostsFile=${knownHosts}`],
  };
}
