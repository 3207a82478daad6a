import { commandLine, flag, required } from "../../options/option-types.ts";
import type { ConnectOptions, LibraryMethod } from "./method.ts";

/** Options of `router.exec()`. */
export interface ExecOptions extends ConnectOptions {
  /** Whatever runs its further arguments as a command: `["chroot", "/srv/jail"]`. */
  readonly command: readonly string[];
  /** The command wants one line for a shell, as ssh does, instead of separate arguments. */
  readonly shellCommand?: boolean | undefined;
}

/** Any command line. It must leave stdin and stdout to what it runs, and ask nothing. */
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
