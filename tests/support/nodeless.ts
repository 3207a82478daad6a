import { type ChildProcess, execFileSync, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { isCi, takesLong } from "./extent.ts";

export const CHROOT: string = existsSync("/usr/sbin/chroot") ? "/usr/sbin/chroot" : "/usr/bin/chroot";

/** What a machine without node has. */
export interface NodelessOptions {
  /** Commands that busybox has and this machine has not. */
  readonly without?: readonly string[];
  /** More commands as shell scripts. */
  readonly scripts?: Readonly<Record<string, string>>;
}

/** How a command enters such a machine. */
export interface EnterOptions {
  readonly home?: string;
  /** Shell commands that run first, as root, in a mount namespace of their own. `$R` is the machine's root. */
  readonly prepare?: string;
  /** The user's number. */
  readonly uid?: number;
  readonly env?: Readonly<Record<string, string>>;
}

/** A root file system that holds busybox, and no library at all. */
export class NodelessMachine {
  readonly root: string;

  constructor(root: string, { without = [], scripts = {} }: NodelessOptions = {}) {
    this.root = root;
    for (const folder of ["bin", "dev", "proc", "etc", "root", "home", "tmp", "var/tmp", "mnt"]) {
      mkdirSync(join(root, folder), { recursive: true });
    }
    for (const folder of ["tmp", "var/tmp"]) chmodSync(join(root, folder), 0o1777);
    copyFileSync("/bin/busybox", join(root, "bin/busybox"));
    const applets = execFileSync("/bin/busybox", ["--list"], { encoding: "utf8" }).split("\n");
    for (const name of applets) {
      if (name === "" || name === "busybox" || name in scripts) continue;
      if (!without.includes(name)) symlinkSync("busybox", join(root, "bin", name));
    }
    writeFileSync(
      join(root, "etc/passwd"),
      "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1000::/home/app:/bin/sh\n",
    );
    if ([...without, ...Object.keys(scripts)].some((name) => applets.includes(name))) {
      // busybox's own shell runs the commands that busybox has, whatever is in PATH. This shell needs no library either.
      rmSync(join(root, "bin/sh"));
      copyFileSync("/bin/mksh-static", join(root, "bin/sh"));
    }
    for (const [name, text] of Object.entries(scripts)) {
      writeFileSync(join(root, "bin", name), `#!/bin/sh\n${text}\n`, { mode: 0o755 });
    }
  }

  /** For `router.exec()`: the words that run a command on the machine. */
  command({ home = "/root", prepare = ":", uid = 0, env = {} }: EnterOptions = {}): string[] {
    const mounts = 'mount -t proc proc "$R/proc" && mount --rbind /dev "$R/dev"';
    const enter = `R="$1"; shift; ${mounts} && { ${prepare}; } && exec env -i "$@"`;
    const variables = Object.entries({ PATH: "/bin", HOME: home, ...env }).map(
      ([name, value]) => `${name}=${value}`,
    );
    // Not busybox's env, because it runs busybox's own shell as sh.
    const inside = [...variables, CHROOT, `--userspec=${uid}:${uid}`, this.root];
    return ["unshare", "-m", "sh", "-c", enter, "sh", this.root, ...inside];
  }
}

/**
 * For the `skip` option of a test: false, or why such machines cannot be made here. Throws in CI, where nothing may
 * be skipped. Quick runs skip them, since each takes seconds; tests/connection/runtime/targets/provisioner-paths.test.ts
 * brings a node in every run.
 */
export function nodelessSkip(): string | false {
  if (takesLong !== false) return takesLong;
  const reason = missing();
  if (reason && isCi) throw new Error(`Machines without node cannot be made: ${reason}`);
  return reason;
}

function missing(): string | false {
  if (process.platform !== "linux" || process.getuid?.() !== 0) return "needs Linux, and root";
  const tried = spawnSync("unshare", ["-m", "sh", "-c", "command -v chroot && /bin/busybox true"]);
  return tried.status === 0 ? false : "nothing can be mounted here, or there is no busybox";
}

/** An sshd whose logins see nothing but such a machine. */
export class NodelessSshd {
  readonly port: number;
  readonly #daemon: ChildProcess;
  readonly #folder: string;

  private constructor(port: number, daemon: ChildProcess, folder: string) {
    this.port = port;
    this.#daemon = daemon;
    this.#folder = folder;
  }

  /** The machine must be where only root can write, at a path without spaces. `username` is an account of this machine. */
  static async start(machine: NodelessMachine, username: string): Promise<NodelessSshd> {
    const folder = mkdtempSync(join(tmpdir(), "mitogen-sshd-"));
    chmodSync(folder, 0o755);
    for (const name of ["host", "key"]) {
      execFileSync("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", join(folder, name)]);
    }
    const port = await freePort();
    const config = [
      "ListenAddress 127.0.0.1",
      `Port ${port}`,
      `HostKey ${folder}/host`,
      `AuthorizedKeysFile ${folder}/key.pub`,
      `AllowUsers ${username}`,
      `ChrootDirectory ${machine.root}`,
      ...["PidFile none", "StrictModes no", "UsePAM no", "PasswordAuthentication no"],
    ];
    writeFileSync(join(folder, "config"), config.map((line) => `${line}\n`).join(""));
    const mounts =
      'mount -t proc proc "$1/proc" && mount --rbind /dev "$1/dev" && exec /usr/sbin/sshd -D -e -f "$2"';
    const args = ["-m", "sh", "-c", mounts, "sh", machine.root, join(folder, "config")];
    const daemon = spawn("unshare", args, { stdio: ["ignore", "ignore", "pipe"] });
    let said = "";
    for await (const chunk of daemon.stderr as Readable) {
      said += String(chunk);
      if (/listening on/.test(said)) return new NodelessSshd(port, daemon, folder);
    }
    throw new Error(`sshd does not start: ${said}`);
  }

  get identityFile(): string {
    return join(this.#folder, "key");
  }

  async stop(): Promise<void> {
    const ended = once(this.#daemon, "exit");
    this.#daemon.kill();
    await ended;
    rmSync(this.#folder, { recursive: true });
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}
