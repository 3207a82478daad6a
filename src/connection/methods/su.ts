import { answers, argumentList, password, target, text } from "../../options/option-types.ts";
import { NODE_FOR_OTHERS } from "../../process/own-node.ts";
import type { Dialogue } from "../prompts/dialogue.ts";
import { endsWithPrompt, isPasswordPrompt } from "../prompts/password-prompt.ts";
import type { LibraryMethod, PasswordOptions } from "./method.ts";

/** Options of `router.su()`. */
export interface SuOptions extends PasswordOptions {
  /** The user to become, su(1); `root` by default. */
  readonly username?: string | undefined;
  /** The tool; `su` by default. */
  readonly suPath?: string | undefined;
  /** The end of su's question, in any case. By default a colon after "password" in one of many languages. */
  readonly passwordPrompt?: string | undefined;
  /**
   * If a line of su contains one of these texts, in any case, the password was wrong. By default the words of known
   * su.
   */
  readonly incorrectPrompts?: readonly string[] | undefined;
}

/** The words of BSD, Linux, CentOS 6 and AIX. */
const INCORRECT = ["sorry", "authentication failure", "incorrect password", "denied"];
/** The beginning of stage 0, which moves the transport away. */
const MOVE_TRANSPORT = "exec 3<&0 4>&1;";

/** Becomes another user of this machine with su. That user's login shell reads the command line. */
export const suMethod: LibraryMethod<SuOptions> = {
  name: "su",
  isLocal: true,
  options: {
    username: target,
    suPath: text,
    password,
    answers,
    passwordPrompt: text,
    incorrectPrompts: argumentList,
  },
  nodeCommand: NODE_FOR_OTHERS,
  contextName: ({ username = "root" }) => `su.${username}`,
  argv(options, boot) {
    const { username = "root", suPath = "su" } = options;
    const argv = [suPath, username, "-c"];
    if (!boot.hasTerminal) return [...argv, boot.shellLine];
    // su asks on its stdin, so its stdin must be the terminal. The transport uses the descriptors that stage
    // 0 expects.
    const line = boot.shellLine.replace(MOVE_TRANSPORT, "");
    return ["sh", "-c", 'exec 3<&0 4>&1 </dev/tty >/dev/tty 2>&1 "$@"', "sh", ...argv, line];
  },
  dialogue({ username = "root", passwordPrompt, incorrectPrompts = INCORRECT }): Dialogue {
    const wrong = incorrectPrompts.map((text) => text.toLowerCase());
    return {
      terminal: "onDemand",
      payloadWaits: true,
      purpose: `to become ${username}`,
      isPasswordPrompt: (text) =>
        passwordPrompt === undefined ? isPasswordPrompt(text) : endsWithPrompt(text, passwordPrompt),
      isRefusal: (line) =>
        wrong.some((text) => line.toLowerCase().includes(text)) &&
        (incorrectPrompts !== INCORRECT || !isShellComplaint(line)),
      isTerminalDemand: (line) => /^su: .*(\btty\b|terminal)/i.test(line),
    };
  },
};

/**
 * Whether the target's shell complains about its start-up files. The shell reads them only if the password
 * was right.
 */
function isShellComplaint(line: string): boolean {
  return /permission denied/i.test(line) && !/^(?:\S*\/)?su: /i.test(line);
}
