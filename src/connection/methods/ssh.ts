import { HostKeyError, PasswordError } from "../../errors.ts";
import {
  answers,
  argumentList,
  flag,
  integer,
  oneOf,
  password,
  renamed,
  required,
  target,
  text,
} from "../../options/option-types.ts";
import { type OptionType, readOptions } from "../../options/options.ts";
import type { Dialogue, Verdict } from "../prompts/dialogue.ts";
import { isPasswordPrompt } from "../prompts/password-prompt.ts";
import type { LibraryMethod, PasswordOptions } from "./method.ts";

/** Options of `router.ssh()`. The real `ssh` connects, so ssh_config(5) sets whatever is not given here. */
export interface SshOptions extends PasswordOptions {
  /** A name, an address, or a `Host` of ssh_config(5). */
  readonly hostname: string;
  /** The account there, ssh(1) `-l`; as ssh_config says by default. */
  readonly username?: string | undefined;
  /** The TCP port, 1 to 65535, ssh(1) `-p`; as ssh_config says by default. */
  readonly port?: number | undefined;
  /** The client; `ssh` by default. */
  readonly sshPath?: string | undefined;
  /** More arguments, before the host name. */
  readonly sshArgs?: readonly string[] | undefined;
  /**
   * - `enforce`: only a known key is accepted.
   * - `accept`: a new key is recorded, a changed key is refused. Without `password` this takes OpenSSH 7.6.
   * - `ignore`: any key is accepted, and the known-hosts files are not touched.
   *
   * By default ssh_config decides; its own default is to accept only a known key.
   */
  readonly checkHostKeys?: "enforce" | "accept" | "ignore" | undefined;
  /** A private key. By default ssh tries the agent and its default keys. */
  readonly identityFile?: string | undefined;
  /**
   * With `identityFile` or `password`: whether ssh offers no other key; true by default. Otherwise without effect.
   */
  readonly identitiesOnly?: boolean | undefined;
  /** Compresses the connection. Off by default, because payload and modules are already compressed. */
  readonly compression?: boolean | undefined;
  /** Sets the three options below at once: false turns keepalive off, an object changes its figures. */
  readonly keepalive?: boolean | { readonly count?: number; readonly intervalSeconds?: number } | undefined;
  /** Whether ssh itself probes the peer; true by default. False leaves that to ssh_config. */
  readonly keepaliveEnabled?: boolean | undefined;
  /** How many probes may stay unanswered, `ServerAliveCountMax` of ssh_config(5); 3 by default. */
  readonly keepaliveCount?: number | undefined;
  /** Whole seconds between two probes, `ServerAliveInterval` of ssh_config(5); 15 by default, 0 sends none. */
  readonly keepaliveIntervalSeconds?: number | undefined;
  /**
   * The old name of `keepaliveIntervalSeconds`. It still works, with one process warning (`MITOGEN_DEP0001`).
   *
   * @deprecated Use `keepaliveIntervalSeconds`.
   */
  readonly keepaliveInterval?: number | undefined;
  /** How many times `-v` is passed to ssh, 0 to 3. The lines are logged at DEBUG. */
  readonly sshDebugLevel?: number | undefined;
}

const HOST_KEY_ARGS = {
  enforce: ["-o", "StrictHostKeyChecking=yes"],
  // Records the key without a question.
  accept: ["-o", "StrictHostKeyChecking=accept-new"],
  ignore: [
    ...["-o", "StrictHostKeyChecking=no"],
    ...["-o", "UserKnownHostsFile=/dev/null"],
    ...["-o", "GlobalKnownHostsFile=/dev/null"],
  ],
};

/**
 * ssh_config may change what a session runs, whether it has our input, and whether it stays in the
 * foreground. These options undo that, as scp does for its own sessions. Each row holds the options that one
 * release brought, the oldest first. An older ssh ends at once if such an option is on its command line, and
 * does not read it from ssh_config either.
 */
const SESSION_OPTIONS: readonly (readonly string[])[] = [
  ["RemoteCommand=none"], // 7.6
  ["SessionType=default", "StdinNull=no", "ForkAfterAuthentication=no"], // 8.7
];
/** How many of these rows a client knows, by its path. Clients that know all rows have no entry. */
const knownRows: Map<string, number> = new Map();

/** Arguments that forward something. The option of `-o` may be a word of its own. */
const FORWARD_FLAG = /^-[LRDw]/;
const FORWARD_OPTION = /^(?:-o)?\s*(?:LocalForward|RemoteForward|DynamicForward|Tunnel)\b/i;

/** Every release of ssh knows this option. The library answers the question with yes. */
const ASK = ["-o", "StrictHostKeyChecking=ask"];

/** The numbers that ssh accepts. */
const count = integer(1, 0x7fffffff);
/** 0 means never. */
const seconds = integer(0, 0x7fffffff);
const keepalive: OptionType<Exclude<SshOptions["keepalive"], undefined>> = {
  wanted: "true, false or { count, intervalSeconds }",
  take(value, refuse) {
    if (typeof value === "boolean") return value;
    if (typeof value !== "object" || value === null) throw refuse("ERR_INVALID_ARG_TYPE");
    return readOptions("connect with ssh(), option keepalive", value, { count, intervalSeconds: seconds });
  },
};

/** Logs in to another machine with OpenSSH's client. */
export const sshMethod: LibraryMethod<SshOptions> = {
  name: "ssh",
  options: {
    hostname: required(target),
    username: target,
    port: integer(1, 65535),
    password,
    answers,
    sshPath: text,
    sshArgs: argumentList,
    checkHostKeys: oneOf("enforce", "accept", "ignore"),
    identityFile: text,
    identitiesOnly: flag,
    compression: flag,
    keepalive,
    keepaliveEnabled: flag,
    keepaliveCount: count,
    keepaliveIntervalSeconds: seconds,
    keepaliveInterval: renamed(seconds, "keepaliveIntervalSeconds"),
    sshDebugLevel: integer(0, 3),
  },
  nodeCommand: [],
  ownExitCode: 255,
  contextName: ({ hostname, port }) =>
    `ssh.${hostname}${port === undefined || port === 22 ? "" : `:${port}`}`,
  argv(options, boot) {
    const { checkHostKeys, sshDebugLevel = 0, sshPath = "ssh", sshArgs = [] } = options;
    const argv = [sshPath];
    if (sshDebugLevel > 0) argv.push(...Array(sshDebugLevel).fill("-v"));
    // At INFO, banners go to stderr, and they are no diagnostics. But ssh gives many of its reasons only at
    // that level.
    else argv.push("-o", `LogLevel=${boot.wasSilent === true && !boot.hasTerminal ? "INFO" : "ERROR"}`);
    if (options.username !== undefined) argv.push("-l", options.username);
    if (options.port !== undefined) argv.push("-p", String(options.port));
    const isExplicit = options.identityFile !== undefined || options.password !== undefined;
    if (isExplicit && (options.identitiesOnly ?? true)) argv.push("-o", "IdentitiesOnly=yes");
    if (options.identityFile !== undefined) argv.push("-i", options.identityFile);
    if (options.compression === true) argv.push("-o", "Compression=yes");
    const { keepalive = true } = options;
    if (options.keepaliveEnabled ?? keepalive !== false) {
      const { count = 3, intervalSeconds = 15 } = typeof keepalive === "object" ? keepalive : {};
      const { keepaliveCount = count, keepaliveIntervalSeconds = intervalSeconds } = options;
      argv.push(
        "-o",
        `ServerAliveInterval=${keepaliveIntervalSeconds}`,
        "-o",
        `ServerAliveCountMax=${keepaliveCount}`,
      );
    }
    if (!boot.hasTerminal) argv.push("-o", "BatchMode=yes");
    const canAnswer = boot.hasTerminal && checkHostKeys === "accept";
    if (checkHostKeys !== undefined) argv.push(...(canAnswer ? ASK : HOST_KEY_ARGS[checkHostKeys]));
    // If an option appears twice, ssh uses the first value. So the caller can override what follows.
    argv.push(...sshArgs, "-T", "-o", "PermitLocalCommand=no", "-o", "ControlMaster=no");
    const hasForward = sshArgs.some((word) => FORWARD_FLAG.test(word) || FORWARD_OPTION.test(word));
    if (!hasForward) argv.push("-o", "ClearAllForwardings=yes");
    const rows = SESSION_OPTIONS.slice(0, knownRows.get(sshPath));
    for (const option of rows.flat()) argv.push("-o", option);
    return [...argv, options.hostname, boot.shellLine];
  },
  dialogue(options): Dialogue {
    const user = options.username === undefined ? "" : ` as ${options.username}`;
    return {
      terminal:
        options.password !== undefined || options.answers !== undefined
          ? "always"
          : options.checkHostKeys === "accept"
            ? "preferred"
            : "never",
      // ssh asks only on the terminal and leaves stdin to the far side. So the payload need not wait for a
      // round trip.
      payloadWaits: false,
      purpose: `to log in to ${options.hostname}${user}`,
      // The path of a key may contain the word.
      isPasswordPrompt: (text) =>
        !DEBUG.test(text) && !PASSPHRASE_QUESTION.test(text) && isPasswordPrompt(text),
      answer: (text) => answerTo(text, options),
      isRefusal: (line) => DENIED_ONCE.test(line) || offersPassword(DENIED.exec(line)?.[1] ?? ""),
    };
  },
  // 7.4: "command-line: line 0: Bad configuration option: remotecommand".
  startsAgain(lines, argv) {
    for (const line of lines) {
      const refused = BAD_OPTION.exec(line)?.[1]?.toLowerCase();
      const isRefused = (option: string): boolean => option.toLowerCase().startsWith(`${refused}=`);
      const row = SESSION_OPTIONS.findIndex((options) => options.some(isRefused));
      if (row < 0 || !argv.some(isRefused)) continue;
      knownRows.set(argv[0] as string, row);
      return true;
    }
    return false;
  },
  // sshd drops connections at random while many clients authenticate: sshd_config(5), MaxStartups. Depending
  // on the progress, ssh reports that at a level that is turned off here, and only its exit status remains.
  wasTurnedAway(lines, exitCode) {
    // After a password prompt, the same words are about the account, and another try would count against it.
    if (lines.some(isPasswordPrompt)) return false;
    if (lines.every((line) => line === "")) return exitCode === 255;
    return lines.some((line) => TURNED_AWAY.test(line));
  },
  diagnose: (lines, options) => {
    let hasChanged = false;
    let lacksKey = false;
    for (const line of lines) {
      hasChanged ||= CHANGED_KEY.test(line);
      lacksKey ||= NO_KEY_FILE.test(line);
      const verdict = UNVERIFIED.test(line)
        ? hostKeyVerdict(hasChanged, options)
        : deniedVerdict(line, hasChanged, lacksKey, options);
      if (verdict !== undefined) return verdict;
    }
    return undefined;
  },
};

/** Only a warning by itself, because ssh_config may accept any key. */
const CHANGED_KEY = /^@ +WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! +@/;
const UNVERIFIED = /^Host key verification failed\./;

function hostKeyVerdict(hasChanged: boolean, { hostname, checkHostKeys = "enforce" }: SshOptions): Verdict {
  return {
    type: HostKeyError,
    message: hasChanged
      ? `the host key of ${hostname} has changed`
      : `the host key of ${hostname} is not known`,
    hint: hasChanged
      ? "if that is expected, remove the old key with ssh-keygen -R"
      : checkHostKeys === "enforce"
        ? `add it to known_hosts (ssh-keyscan), or pass checkHostKeys: "accept"`
        : "check what sshArgs or ssh_config say about host keys",
  };
}

const BAD_OPTION = /^command[ -]line: line 0: Bad configuration option: "?(\w+)/;

/** The lines of `-v` mention passwords, and may arrive in pieces. */
const DEBUG = /^debug[1-3]: /;
const TURNED_AWAY =
  /^(?:kex|ssh)_exchange_identification: .*(?:closed|reset)|^Connection (?:closed|reset) by /i;
const HOST_KEY_QUESTION = /continue connecting \(yes\/no[^()]*\)\? *$/;
const PASSPHRASE_QUESTION = /^Enter passphrase for (key )?['"]?.*: *$/;
const DENIED_ONCE = /^(?:[^\s:@]+@\S+: )?Permission denied, please try again/i;

function answerTo(text: string, options: SshOptions): string | Verdict | undefined {
  const { checkHostKeys, hostname } = options;
  // Without the passphrase ssh tries the next key, as it does if there is nobody to ask.
  if (PASSPHRASE_QUESTION.test(text)) return "";
  if (!HOST_KEY_QUESTION.test(text)) return undefined;
  // ssh accepts only the whole word, not "y".
  if (checkHostKeys === "accept") return "yes";
  if (checkHostKeys === undefined) return hostKeyVerdict(false, options);
  return {
    type: HostKeyError,
    message: `ssh asks whether to accept the host key of ${hostname}, which checkHostKeys: "${checkHostKeys}" should have settled`,
    hint: "check what sshArgs say about StrictHostKeyChecking",
  };
}

// At the start of a line, or after `user@host: ` (OpenSSH 7.5). A shell also says "sh: file: Permission
// denied".
const DENIED = /^(?:[^\s:@]+@\S+: )?Permission denied \(([^)]*)\)/i;
const NO_KEY_FILE = /^Warning: Identity file .* not accessible: /;

function deniedVerdict(
  line: string,
  hasChanged: boolean,
  lacksKey: boolean,
  options: SshOptions,
): Verdict | undefined {
  const methods = DENIED.exec(line)?.[1];
  if (methods === undefined) return undefined;
  // Even if ssh_config accepts any key, ssh sends no password to a host whose key has changed.
  if (hasChanged && options.password !== undefined) return hostKeyVerdict(hasChanged, options);
  const user = options.username === undefined ? "" : ` as ${options.username}`;
  // A password that was typed and refused has been reported before. Here ssh never asked for one.
  const wantsPassword = offersPassword(methods) && options.password === undefined;
  return {
    type: PasswordError,
    message: wantsPassword
      ? `a password is required to log in to ${options.hostname}${user}`
      : `${options.hostname} did not accept the login${user}; it offers ${methods}`,
    hint:
      options.identityFile === undefined
        ? `pass ${wantsPassword ? "password or " : ""}identityFile, or load the key into ssh-agent`
        : `${wantsPassword ? "pass password, or " : ""}${keyHint(options.identityFile, lacksKey)}`,
  };
}

function keyHint(file: string, lacksKey: boolean): string {
  return lacksKey
    ? `check identityFile: ssh cannot read ${file}`
    : `check whether ${file} is among the account's authorized_keys, and load it into ssh-agent if it has a passphrase`;
}

function offersPassword(methods: string): boolean {
  return /password|keyboard-interactive/.test(methods);
}
