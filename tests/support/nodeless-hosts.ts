import { existsSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { SshOptions } from "../../src/index.ts";
import { part } from "./lab-methods.ts";
import { sshTo } from "./ssh-options.ts";

/** How to log in to a machine of the lab that has no usable node. */
export function sshToHost(name: string, username: string = part("nodeless").account): SshOptions {
  const { port, knownHosts } = part("nodeless");
  const sshArgs = ["-o", `UserKnownHostsFile=${knownHosts}`];
  return sshTo(username, { hostname: hostOf(name).host, port, sshArgs });
}

/** A path of that machine, as root of this machine sees it. */
export function pathAt(name: string, path: string): string {
  return join(hostOf(name).root, path);
}

/** Removes what the library may have left there. */
export function clearHost(name: string): void {
  for (const folder of foldersAt(name)) rmSync(pathAt(name, folder), { recursive: true, force: true });
}

/** All that is in the folders for a node, as absolute paths of that machine. */
export function keptAt(name: string): string[] {
  return foldersAt(name).flatMap((folder) =>
    readdirSync(pathAt(name, folder), { recursive: true, encoding: "utf8" }).map((each) =>
      join(folder, each),
    ),
  );
}

/** Those that there are: of each home, and the two that are shared. */
function foldersAt(name: string): string[] {
  const homes = readdirSync(pathAt(name, "/home")).map((each) => `/home/${each}`);
  const own = [...homes, "/root"].map((home) => `${home}/.cache/mitogen`);
  const shared = ["/var/tmp", "/tmp"].flatMap((folder) =>
    readdirSync(pathAt(name, folder))
      .filter((each) => /^mitogen-\d+$/.test(each))
      .map((each) => join(folder, each)),
  );
  return [...own, ...shared].filter((folder) => existsSync(pathAt(name, folder)));
}

function hostOf(name: string): { host: string; root: string } {
  const found = part("nodeless").hosts[name];
  if (found === undefined) throw new Error(`The lab has no host "${name}"`);
  return found;
}
