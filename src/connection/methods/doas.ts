import { PasswordError } from "../../errors.ts";
import { answers, argumentList, password, target, text } from "../../options/option-types.ts";
import { NODE_FOR_OTHERS } from "../../process/own-node.ts";
import type { Dialogue } from "../prompts/dialogue.ts";
import { endsWithPrompt, isPasswordPrompt } from "../prompts/password-prompt.ts";
import type { LibraryMethod, PasswordOptions } from "./method.ts";

/** Options of `router.doas()`. */
export interface DoasOptions extends PasswordOptions {
  /** The user to become, doas(1); `root` by default. */
  readonly username?: string | undefined;
  /** The tool; `doas` by default. */
  readonly doasPath?: string | undefined;
  /**
   * The end of doas's question, in any case. By default a colon after "password" in one of many languages.
   */
  readonly passwordPrompt?: string | undefined;
  /**
   * If a line contains one of these texts, in any case, the password was wrong. By default the words of known doas.
   */
  readonly incorrectPrompts?: readonly string[] | undefined;
}

/** The words of slicer69's port, of OpenBSD, and of opendoas with PAM. */
const INCORRECT = ["doas: authentication failed", "doas: authorization failed"];

/** Becomes another user of this machine with doas. */
export const doasMethod: LibraryMethod<DoasOptions> = {
  name: "doas",
  isLocal: true,
  options: {
    username: target,
    doasPath: text,
    password,
    answers,
    passwordPrompt: text,
    incorrectPrompts: argumentList,
  },
  nodeCommand: NODE_FOR_OTHERS,
  contextName: ({ username = "root" }) => `doas.${username}`,
  argv(options, boot) {
    const { username = "root", doasPath = "doas" } = options;
    return [doasPath, "-u", username, "--", ...boot.words];
  },
  dialogue(options): Dialogue {
    const { username = "root", password, answers, passwordPrompt, incorrectPrompts = INCORRECT } = options;
    const wrong = incorrectPrompts.map((text) => text.toLowerCase());
    return {
      // doas asks only on a terminal. doas.conf decides whether it asks at all.
      terminal: password === undefined && answers === undefined ? "preferred" : "always",
      payloadWaits: true,
      purpose: `to become ${username}`,
      isPasswordPrompt: (text) =>
        passwordPrompt === undefined ? isPasswordPrompt(text) : endsWithPrompt(text, passwordPrompt),
      isRefusal: (line) => wrong.some((text) => line.toLowerCase().includes(text)),
    };
  },
  // Without a terminal, doas can only say that it could not ask.
  diagnose: (lines, { password }) =>
    password === undefined &&
    lines.some((line) =>
      /^doas: (a tty is required|authentication (failed|required)|authorization (failed|required))/i.test(
        line,
      ),
    )
      ? { type: PasswordError, message: "a password is required", hint: "pass password" }
      : undefined,
};
