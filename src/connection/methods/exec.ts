import { commandLine, flag, required } from "../../options/option-types.ts";
import type { ConnectOptions, LibraryMethod } from "./method.ts";

/** Options of `router.exec()`. */
export interface ExecOptions extends ConnectOptions {
  /** A command that runs its further arguments as a command: `["chroot", "/srv/jail"]`. */
  readonly command: readonly string[];
  /** Whether the command takes one line for a shell, as ssh does, instead of separate arguments. */
  readonly shellCommand?: boolean | undefined;
}

/**
 * Runs any command line. It must leave stdin and stdout to the program that it runs, and must not ask
 * questions.
 */
export const execMethod: LibraryMethod<ExecOptions> = {
  name: "exec",
  options: { command: required(commandLine), shellCommand: flag },
  nodeCommand: [],
  contextName: ({ command }, pid) => `exec.${command[0]?.replace(/^.*\//, "")}.${pid}`,
  argv(options, boot) {
    const { command, shellCommand = false } = options;
    return [...command, ...(shellCommand ? [boot.shellLine] : boot.words)];
  },
};
