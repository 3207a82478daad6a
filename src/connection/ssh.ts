import { HostKeyError, PasswordError } from "../errors.ts";
import { type ConnectionMethod, type ConnectOptions, checkOptions, type Verdict } from "./method.ts";

/** Options of `router.ssh()`. Whatever is not given is as ssh_config(5) says, for the real `ssh` is used. */
export interface SshOptions extends ConnectOptions {
  readonly hostname: string;
  readonly username?: string | undefined;
  readonly port?: number | undefined;
  /** The client; `ssh` by default. */
  readonly sshPath?: string | undefined;
  /** More arguments, behind ours and in front of the host name. */
  readonly sshArgs?: readonly string[] | undefined;
  /**
   * `enforce` (default): only a known key is accepted. `accept`: a new key is recorded, a changed one refused.
   * `ignore`: any key, and the known-hosts files are not touched.
   */
  readonly checkHostKeys?: "enforce" | "accept" | "ignore" | undefined;
  /** A private key; without it the agent and ssh's own defaults are asked. */
  readonly identityFile?: string | undefined;
  /** Offer only `identityFile`; true by default when it is given. */
  readonly identitiesOnly?: boolean | undefined;
  /** Off by default: payload and modules are compressed already. */
  readonly compression?: boolean | undefined;
  /** Notice a dead peer: by default after 3 unanswered probes, 15 s apart. False leaves it to ssh_config. */
  readonly keepalive?: boolean | { readonly count?: number; readonly intervalSeconds?: number } | undefined;
  /** 1 to 3: `-v` that often; its lines are logged at DEBUG. */
  readonly sshDebugLevel?: number | undefined;
}

const OPTIONS = [
  "hostname",
  "username",
  "port",
  "sshPath",
  "sshArgs",
  "checkHostKeys",
  "identityFile",
  "identitiesOnly",
  "compression",
  "keepalive",
  "sshDebugLevel",
];
const HOST_KEY_ARGS = {
  enforce: ["-o", "StrictHostKeyChecking=yes"],
  // OpenSSH 7.6 and newer; records the key without a question.
  accept: ["-o", "StrictHostKeyChecking=accept-new"],
  ignore: [
    ...["-o", "StrictHostKeyChecking=no"],
    ...["-o", "UserKnownHostsFile=/dev/null"],
    ...["-o", "GlobalKnownHostsFile=/dev/null"],
  ],
};

/** A login on another machine through OpenSSH's client. */
export const sshMethod: ConnectionMethod<SshOptions> = {
  name: "ssh",
  nodeCommand: [],
  contextName: ({ hostname, port }) =>
    `ssh.${hostname}${port === undefined || port === 22 ? "" : `:${port}`}`,
  argv(options, boot) {
    checkSshOptions(options);
    const { keepalive = true, checkHostKeys = "enforce", sshDebugLevel = 0 } = options;
    const argv = [options.sshPath ?? "ssh"];
    if (sshDebugLevel > 0) argv.push(...Array(Math.min(3, sshDebugLevel)).fill("-v"));
    // Banners go to stderr at INFO: they are not our diagnostics.
    else argv.push("-o", "LogLevel=ERROR");
    if (options.username !== undefined) argv.push("-l", options.username);
    if (options.port !== undefined) argv.push("-p", String(options.port));
    if (options.identityFile !== undefined) {
      if (options.identitiesOnly ?? true) argv.push("-o", "IdentitiesOnly=yes");
      argv.push("-i", options.identityFile);
    }
    if (options.compression === true) argv.push("-o", "Compression=yes");
    if (keepalive !== false) {
      const { count = 3, intervalSeconds = 15 } = keepalive === true ? {} : keepalive;
      argv.push("-o", `ServerAliveInterval=${intervalSeconds}`, "-o", `ServerAliveCountMax=${count}`);
    }
    // Nothing is asked: there is no terminal. The payload may be written before any answer.
    argv.push("-o", "BatchMode=yes", ...HOST_KEY_ARGS[checkHostKeys], ...(options.sshArgs ?? []));
    return [...argv, options.hostname, boot.shellLine];
  },
  diagnose: (lines, options) => {
    for (const line of lines) {
      const verdict = hostKeyVerdict(line, options) ?? deniedVerdict(line, options);
      if (verdict !== undefined) return verdict;
    }
    return undefined;
  },
};

function checkSshOptions(options: SshOptions): void {
  checkOptions("ssh", options, OPTIONS);
  const { hostname, port, checkHostKeys = "enforce" } = options;
  // A leading dash would be an option of ssh: `-oProxyCommand=…` runs a command.
  if (typeof hostname !== "string" || hostname === "" || hostname.startsWith("-")) {
    throw new TypeError(`Cannot connect: ssh() needs a hostname, got ${JSON.stringify(hostname)}`);
  }
  if (options.username?.startsWith("-")) {
    throw new TypeError(`Cannot connect: "${options.username}" is no user name for ssh()`);
  }
  if (port !== undefined && !(Number.isInteger(port) && port > 0 && port < 65536)) {
    throw new RangeError(`Cannot connect: ssh() needs a port from 1 to 65535, got ${port}`);
  }
  if (!Object.hasOwn(HOST_KEY_ARGS, checkHostKeys)) {
    throw new TypeError(
      `Cannot connect: checkHostKeys is "enforce", "accept" or "ignore", got ${JSON.stringify(checkHostKeys)}`,
    );
  }
}

function hostKeyVerdict(
  line: string,
  { hostname, checkHostKeys = "enforce" }: SshOptions,
): Verdict | undefined {
  const hasChanged = /^@ +WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! +@/.test(line);
  if (!hasChanged && !/^Host key verification failed\./.test(line)) return undefined;
  return {
    type: HostKeyError,
    message: hasChanged
      ? `the host key of ${hostname} has changed`
      : `the host key of ${hostname} is not known`,
    hint: hasChanged
      ? "if that is expected, remove the old key with ssh-keygen -R"
      : checkHostKeys === "enforce"
        ? `add it to known_hosts (ssh-keyscan), or pass checkHostKeys: "accept"`
        : "see what sshArgs or ssh_config say about host keys",
  };
}

// At the start of a line, or behind `user@host: ` (OpenSSH 7.5): a shell says "sh: file: Permission denied" too.
const DENIED = /^(?:[^\s:]+@[^\s]+: )?Permission denied \(([^)]*)\)/i;

function deniedVerdict(line: string, options: SshOptions): Verdict | undefined {
  const methods = DENIED.exec(line)?.[1];
  if (methods === undefined) return undefined;
  const user = options.username === undefined ? "" : ` as ${options.username}`;
  const wantsPassword = /password|keyboard-interactive/.test(methods);
  return {
    type: PasswordError,
    message: wantsPassword
      ? `a password is required to log in to ${options.hostname}${user}`
      : `${options.hostname} did not accept the login${user}; it offers ${methods}`,
    hint:
      options.identityFile === undefined
        ? "pass identityFile, or load the key into ssh-agent"
        : `see whether ${options.identityFile} is among the account's authorized_keys`,
  };
}
