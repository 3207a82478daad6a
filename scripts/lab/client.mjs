// The client's side: keys, known_hosts, and an ssh_config in which every account is a host of its own.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { HOST } from "./ports.mjs";
import { labFolder, writeIfChanged } from "./run.mjs";
import { hostKeyOf, makeKey } from "./sshd.mjs";

const FOLDER = join(labFolder, "ssh");
export const identityFile = join(FOLDER, "id_ed25519");
/** A key that no account accepts. */
export const strangerFile = join(FOLDER, "stranger_ed25519");

/** Makes the key pairs. Returns the public half of the accepted one. */
export async function makeClientKeys() {
  await makeKey(identityFile);
  await makeKey(strangerFile);
  return readFileSync(`${identityFile}.pub`, "utf8").trim();
}

/** known_hosts claims the main daemon's key for both ports: at `otherPort` the key has "changed". */
export function writeClientFiles({ port, otherPort, users }) {
  const key = hostKeyOf("main");
  const knownHosts = join(FOLDER, "known_hosts");
  writeIfChanged(knownHosts, [port, otherPort].map((at) => `[${HOST}]:${at} ${key}\n`).join(""));
  const config = join(FOLDER, "config");
  const hosts = users.map(({ name }) => `Host ${name}\n  User ${name}\n`).join("");
  const settings = `Host *
  HostName ${HOST}
  Port ${port}
  IdentityFile "${identityFile}"
  IdentitiesOnly yes
  UserKnownHostsFile "${knownHosts}"
  GlobalKnownHostsFile /dev/null
  StrictHostKeyChecking yes
`;
  writeIfChanged(config, `${hosts}Host changed-key\n  User mitogen-bash\n  Port ${otherPort}\n${settings}`);
  return { knownHosts, config };
}
