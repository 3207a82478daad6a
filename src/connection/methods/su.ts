import { argumentList, password, target, text } from "../../options/option-types.ts";
import { OWN_NODE } from "../../process/own-node.ts";
import type { Dialogue } from "../prompts/dialogue.ts";
import { endsWithPrompt, isPasswordPrompt } from "../prompts/password-prompt.ts";
import type { LibraryMethod, PasswordOptions } from "./method.ts";

/** Options of `router.su()`. */
export interface SuOptions extends PasswordOptions {
  /** The user to become, su(1); `root` by default. */
  readonly username?: string | undefined;
  /** The tool; `su` by default. */
  readonly suPath?: string | undefined;
  /** The end of su's question, whatever its case; by default a colon behind "password" in one of many languages. */
  readonly passwordPrompt?: string | undefined;
  /** What a line of su holds, whatever its case, when the password was wrong. */
  readonly incorrectPrompts?: readonly string[] | undefined;
}

/** BSD, Linux, CentOS 6, AIX. */
const INCORRECT = ["sorry", "authentication failure", "incorrect password", "denied"];
/** What stage 0 begins with: it moves the transport away. */
const MOVE_TRANSPORT = "exec 3<&0 4>&1;";

/** Another user of this machine, through su; the command line is read by that user's login shell. */
export const suMethod: LibraryMethod<SuOptions> = {
  name: "su",
  isLocal: true,
  options: { username: target, suPath: text, password, passwordPrompt: text, incorrectPrompts: argumentList },
  nodeCommand: OWN_NODE,
  contextName: ({ username = "root" }) => `su.${username}`,
  argv(options, boot) {
    const { username = "root", suPath = "su" } = options;
    const argv = [suPath, username, "-c"];
    if (!boot.hasTerminal) return [...argv, boot.shellLine];
    // It asks on its stdin, which then has to be the terminal; the transport goes past it on descriptors that stage 0 expects.
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

/** What the target's shell says of its start-up files, which it reads when the password was right. */
function isShellComplaint(line: string): boolean {
  return /permission denied/i.test(line) && !/^(?:\S*\/)?su: /i.test(line);
}
