import type { SshOptions } from "../../src/index.ts";
import { lab } from "./lab.ts";

/**
 * How to reach an account of the lab's sshd with the lab's key and known_hosts, and without this machine's own
 * settings.
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
    // ssh takes the first value of an option, so the caller's come before ours.
    sshArgs: ["-F", "/dev/null", ...(changes.sshArgs ?? []), "-o", `UserKnownHostsFile=${knownHosts}`],
  };
}
