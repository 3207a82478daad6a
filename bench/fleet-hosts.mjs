// Many names of this machine behind an sshd that takes all logins at once, and what each tool needs to reach them.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { labSsh } from "./lab.mjs";
import { scratchFolder } from "./scratch.mjs";

let started;

/**
 * `count` hosts: their `names`, and `config`, an ssh_config that leads all of them to a real sshd of this run. The lab's
 * own sshd refuses some of so many logins at once (MaxStartups), and a side that fails would look faster.
 */
export async function fleetHosts(count) {
  started ??= startSshd();
  const { folder, config, account } = await started;
  const names = Array.from({ length: count }, (_, at) => `h${at + 1}`);
  return { names, config, account, folder };
}

async function startSshd() {
  const { identityFile, account } = await labSsh();
  const folder = scratchFolder();
  const port = await freePort();
  const labConfig = readFileSync(join(identityFile, "../main_config"), "utf8");
  const sshdConfig = join(folder, "sshd_config");
  writeFileSync(
    sshdConfig,
    labConfig
      .replace(/^ListenAddress .*$/m, `ListenAddress 127.0.0.1:${port}\nMaxStartups 1000:30:2000`)
      .replace(/^PidFile .*$/m, "PidFile none"),
  );
  const sshd = spawn("/usr/sbin/sshd", ["-D", "-e", "-f", sshdConfig], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  process.once("exit", () => sshd.kill());
  await listening(sshd);
  const config = join(folder, "ssh_config");
  writeFileSync(
    config,
    `Host *
  HostName 127.0.0.1
  Port ${port}
  User ${account.name}
  IdentityFile "${identityFile}"
  IdentitiesOnly yes
  StrictHostKeyChecking no
  UserKnownHostsFile /dev/null
  GlobalKnownHostsFile /dev/null
  LogLevel ERROR
`,
  );
  return { folder, config, account };
}

/** Resolves when sshd listens, as it says on stderr. That is read to its end, so that sshd never waits for us. */
async function listening(sshd) {
  let said = "";
  const ready = new Promise((resolve) => {
    sshd.stderr.on("data", (chunk) => {
      if (said === undefined) return;
      said += chunk;
      if (!said.includes("Server listening")) return;
      said = undefined;
      resolve();
    });
  });
  const ended = once(sshd, "exit").then(([code]) => {
    throw new Error(`sshd ended with ${code}: ${said}`);
  });
  await Promise.race([ready, ended]);
  sshd.unref();
  sshd.stderr.unref();
}

async function freePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  server.close();
  await once(server, "close");
  return port;
}
