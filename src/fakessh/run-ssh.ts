import { Context } from "../core/context.ts";
import { ChannelError, MitogenError } from "../errors.ts";
import { commandLine, environment, instanceOf, oneOf, text, WAIT_OPTIONS } from "../options/option-types.ts";
import { type OptionTable, readOptions, takeOption } from "../options/options.ts";
import { importLate } from "../process/late-import.ts";
import { messageOf } from "../wire/values/thrown.ts";
import type { RunSshOptions, ToolResult } from "./run-tool.ts";

const OPTIONS: OptionTable<RunSshOptions> = {
  ...WAIT_OPTIONS,
  cwd: text,
  env: environment,
  stdio: oneOf("inherit", "ignore", "collect"),
};
const CONTEXT = instanceOf(Context, "a Context");

/**
 * Runs a local tool whose `ssh` leads to `context`: rsync, scp, sftp, git, or anything that starts `ssh`. Any
 * host name will do: docs/fakessh.md. Resolves when the tool has ended, successfully or not. Rejects with a
 * MitogenError if the tool cannot be started, and with a ChannelError if the context is already gone. If
 * `timeoutMs` or `signal` ends the tool, rejects with a TimeoutError or the signal's reason.
 *
 * ```ts
 * const { code } = await runSsh(context, ["rsync", "-a", "site/", "any:/srv/www/"]);
 * ```
 */
export async function runSsh(
  context: Context,
  argv: readonly string[],
  given: RunSshOptions = {},
): Promise<ToolResult> {
  takeOption("run a tool", "the context", context, CONTEXT);
  const [tool, ...args] = takeOption("run a tool", "argv", argv, commandLine) as [string, ...string[]];
  takeOption("run a tool", "argv[0]", tool, text);
  const options = readOptions("run a tool", given, OPTIONS);
  options.signal?.throwIfAborted();
  if (context.goneReason !== undefined) throw new ChannelError(context.goneReason);
  const { runTool } = await importLate(() => import("./run-tool.ts")).catch((cause) => {
    throw new MitogenError(`Cannot run ${JSON.stringify(tool)}: ${messageOf(cause)}`, { cause });
  });
  return await runTool(context, tool, args, options);
}
