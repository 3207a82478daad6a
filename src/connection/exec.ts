import { type ConnectionMethod, type ConnectOptions, checkOptions } from "./method.ts";

/** Options of `router.exec()`. */
export interface ExecOptions extends ConnectOptions {
  /** Whatever runs its further arguments as a command: `["chroot", "/srv/jail"]`. */
  readonly command: readonly string[];
  /** The command wants one line for a shell, as ssh does, instead of separate arguments. */
  readonly shellCommand?: boolean | undefined;
}

/** Any command line. It must leave stdin and stdout to what it runs, and ask nothing. */
export const execMethod: ConnectionMethod<ExecOptions> = {
  name: "exec",
  nodeCommand: [],
  contextName: ({ command }, pid) => `exec.${command[0]?.replace(/^.*\//, "")}.${pid}`,
  argv(options, boot) {
    checkOptions("exec", options, ["command", "shellCommand"]);
    const { command, shellCommand = false } = options;
    if (
      !Array.isArray(command) ||
      command.length === 0 ||
      !command.every((word) => typeof word === "string")
    ) {
      throw new TypeError(`Cannot connect: exec() needs a command, a list of strings, got ${typeof command}`);
    }
    return [...command, ...(shellCommand ? [boot.shellLine] : boot.words)];
  },
};
