import { PasswordError } from "../../errors.ts";
import { answers, argumentList, flag, password, target, text } from "../../options/option-types.ts";
import { NODE_FOR_OTHERS } from "../../process/own-node.ts";
import type { Dialogue } from "../prompts/dialogue.ts";
import { endsWithPrompt, isPasswordPrompt } from "../prompts/password-prompt.ts";
import { type BootLine, checkTarget, type LibraryMethod, type PasswordOptions } from "./method.ts";
import { parseSudoArgs, type SudoFlags } from "./sudo-args.ts";

/** Options of `router.sudo()`. */
export interface SudoOptions extends SudoFlags, PasswordOptions {
  /** The tool; `sudo` by default. */
  readonly sudoPath?: string | undefined;
  /** The end of the question of a PAM module, in any case. sudo's own question is always recognised. */
  readonly passwordPrompt?: string | undefined;
  /** The flags above as sudo's own arguments: `["-H", "-u", "www-data"]`. Options override them. */
  readonly sudoArgs?: readonly string[] | undefined;
}

/** The index of stage 0 in the boot line's words: `sh -c <script> …`. */
const SCRIPT_INDEX = 2;

/** Becomes another user of this machine with sudo. */
export const sudoMethod: LibraryMethod<SudoOptions> = {
  name: "sudo",
  isLocal: true,
  options: {
    username: target,
    sudoPath: text,
    password,
    answers,
    passwordPrompt: text,
    preserveEnv: flag,
    setHome: flag,
    login: flag,
    selinuxRole: target,
    selinuxType: target,
    sudoArgs: argumentList,
  },
  nodeCommand: NODE_FOR_OTHERS,
  contextName: (options) => `sudo.${flagsOf(options).username ?? "root"}`,
  argv(options, boot) {
    const flags = flagsOf(options);
    // Only short options, because old releases know no others.
    const argv = [options.sudoPath ?? "sudo", ...(boot.hasTerminal ? [] : ["-S"])];
    // With a prompt of its own, sudo asks every question of PAM in the same words.
    if (options.answers === undefined) argv.push("-p", prompt(boot));
    argv.push("-u", checkTarget("sudo", "username", flags.username ?? "root"));
    if (flags.preserveEnv === true) argv.push("-E");
    if (flags.setHome === true) argv.push("-H");
    if (flags.login === true) argv.push("-i");
    if (flags.selinuxRole !== undefined) argv.push("-r", flags.selinuxRole);
    if (flags.selinuxType !== undefined) argv.push("-t", flags.selinuxType);
    return [...argv, "--", ...(flags.login === true ? withoutDollars(boot.words) : boot.words)];
  },
  dialogue(options, boot): Dialogue {
    const token = prompt(boot);
    const { answers, passwordPrompt } = options;
    const isSudos = (text: string): boolean =>
      answers === undefined ? isSudoPrompt(text, token) : isPasswordPrompt(text);
    return {
      terminal: "onDemand",
      payloadWaits: true,
      purpose: `to become ${flagsOf(options).username ?? "root"}`,
      isPasswordPrompt: (text) =>
        isSudos(text) || (passwordPrompt !== undefined && endsWithPrompt(text, passwordPrompt)),
      isRefusal,
      ownPrompt: token,
      askedAgain: "it was tried once; if PAM asks for more than the password, pass answers",
      isTerminalDemand: (line) => /^sudo\b.*(\btty\b|terminal|终端|終端|端末)/i.test(line),
    };
  },
  diagnose: (lines) =>
    lines.some((line) => /^sudo(-rs)?: .*(a password|authentication) is required/.test(line))
      ? { type: PasswordError, message: "a password is required", hint: "pass password" }
      : undefined,
};

/** Merges `sudoArgs` with the options. Options override `sudoArgs`. */
function flagsOf(options: SudoOptions): SudoFlags {
  const given = Object.entries(options).filter(([, value]) => value !== undefined);
  return { ...parseSudoArgs(options.sudoArgs ?? []), ...Object.fromEntries(given) };
}

/** The most characters that a PAM module may print after the token. */
const MAX_PAM_PROMPT = 52;

/** A prompt that belongs to this connect alone, so that nothing else on the stream can look like it. */
function prompt({ nonce }: BootLine): string {
  return `mitogen-sudo-${nonce.slice(0, 8)}:`;
}

/**
 * Whether the text is the token itself, or the token as sudo-rs and a PAM module in any language print it:
 * `[sudo: <token>] Mot de passe : `. Asterisks are feedback on the characters being typed.
 */
export function isSudoPrompt(text: string, token: string): boolean {
  const at = text.lastIndexOf(token);
  if (at < 0) return false;
  const rest = text.slice(at + token.length);
  return text.slice(0, at).endsWith("[sudo: ")
    ? rest.length <= MAX_PAM_PROMPT && /^\] [^*\n]+$/.test(rest)
    : rest === "";
}

/** Whether the line reports wrong attempts: in every language, sudo begins it with their number. */
function isRefusal(line: string): boolean {
  return /^sudo(-rs)?\s?: \d+ |^sorry, try again|^sudo(-rs)?: authentication failed/i.test(line);
}

/**
 * For a login shell, sudo puts a backslash before every special character but `$`, so that shell would expand
 * `$`. Therefore the script travels without one.
 */
function withoutDollars(words: readonly string[]): string[] {
  return words.map((word, index) => {
    if (!word.includes("$")) return word;
    if (index !== SCRIPT_INDEX) {
      throw new RangeError(
        `Cannot pass ${JSON.stringify(word)} to a login shell through sudo: it contains a "$"`,
      );
    }
    const octal = (char: string): string => `\\0${char.charCodeAt(0).toString(8).padStart(3, "0")}`;
    return `eval "\`printf %b '${word.replace(/[\\$"'`]/g, octal)}'\`"`;
  });
}
