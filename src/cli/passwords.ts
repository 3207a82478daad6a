import { execFile } from "node:child_process";
import { askPassword } from "../terminal/ask-password.ts";
import { Secret } from "../wire/values/secret.ts";
import type { Call } from "./command.ts";
import { UsageError } from "./usage-error.ts";

/** How long the command may take: it may ask for something itself. */
const COMMAND_TIMEOUT_MS = 120_000;
const MAX_BYTES = 64 * 1024;

/** The passwords of a call; undefined if none was wanted. */
export interface Passwords {
  /** For logins: ssh. */
  readonly login: Secret | undefined;
  /** For becoming another user: sudo, su, doas. */
  readonly become: Secret | undefined;
}

export const NO_PASSWORDS: Passwords = { login: undefined, become: undefined };

/**
 * Asks for the passwords that the options want, or runs the password command. Does so once, before anything starts, and
 * only for passwords that are needed.
 */
export async function takePasswords(
  { values, signal, name }: Call,
  needed: readonly (keyof Passwords)[] = ["login", "become"],
): Promise<Passwords> {
  const command = values["password-command"] as string | undefined;
  const asked = { login: values["ask-password"] === true, become: values["ask-sudo-password"] === true };
  const isAsked = asked.login || asked.become;
  // Without another option, the command gives every password that may be needed.
  const wanted =
    command === undefined || isAsked ? asked : { login: true, become: values["sudo"] !== undefined };
  const take = (purpose: keyof Passwords): Promise<Secret> | undefined => {
    if (!wanted[purpose] || !needed.includes(purpose)) return undefined;
    if (command !== undefined) return passwordOf(command, FOR[purpose], signal);
    return ask(`Password for ${purpose === "login" ? "logins" : "sudo"}`, signal, name);
  };
  return { login: await take("login"), become: await take("become") };
}

/** What the command is told. */
const FOR = { login: "login", become: "sudo" } as const;

async function ask(prompt: string, signal: AbortSignal, name: string): Promise<Secret> {
  try {
    return await askPassword(prompt, { signal })();
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    const [message = ""] = (error as Error).message.split("; pass password");
    // The signal itself follows.
    if (message.endsWith("was interrupted")) throw new DOMException(message, "AbortError");
    throw new UsageError(`${message}; use --password-command`, name);
  }
}

/** The first line that the command prints. It may ask something itself, on /dev/tty. */
function passwordOf(command: string, purpose: "login" | "sudo", signal: AbortSignal): Promise<Secret> {
  return new Promise((resolve, reject) => {
    const child = execFile(
      "/bin/sh",
      ["-c", command],
      {
        signal,
        timeout: COMMAND_TIMEOUT_MS,
        maxBuffer: MAX_BYTES,
        env: { ...process.env, MITOGEN_PASSWORD_FOR: purpose },
      },
      (error, stdout) => {
        const [password = ""] = stdout.split(/\r?\n/);
        if (signal.aborted) reject(signal.reason);
        else if (error !== null) reject(new UsageError(`--password-command failed: ${why(error)}`));
        else if (password === "") reject(new UsageError("--password-command printed no password"));
        else resolve(new Secret(password));
      },
    );
    child.stdin?.end();
    child.stderr?.pipe(process.stderr, { end: false });
  });
}

/** Without the output, which may be the password. */
function why(error: { code?: unknown; signal?: unknown; killed?: unknown }): string {
  if (String(error.code).endsWith("_MAXBUFFER")) return "it printed too much";
  if (error.killed === true) return `it took longer than ${COMMAND_TIMEOUT_MS / 1000} s`;
  return typeof error.code === "number"
    ? `it ended with exit code ${error.code}`
    : `it was ended by ${error.signal}`;
}
