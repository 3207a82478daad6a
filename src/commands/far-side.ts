import { accessSync, constants, statSync } from "node:fs";
import { userInfo } from "node:os";
import { currentCall } from "../calls/target/current-call.ts";
import type { CoreRouter } from "../core/router.ts";
import type { Sender } from "../core/sender.ts";
import { apiRef } from "../functions/api-ref.ts";
import type { FunctionRef } from "../functions/callable.ts";
import { startFault } from "../process/start-fault.ts";
import { nameLimit } from "../process/system-limits.ts";
import { Secret } from "../wire/values/secret.ts";
import { findProgram } from "./find-program.ts";
import { type ProcessSpec, runProcess } from "./process.ts";

/** A command as it travels. It was checked in the context where it was given. */
export interface CommandRequest extends Pick<ProcessSpec, "argv" | "cwd" | "hasInput"> {
  /** Changes to the environment. Undefined removes a variable. */
  readonly env?: Readonly<Record<string, string | Secret | undefined>> | undefined;
}

/** How a command ended. `failure` means that it was not even started. */
export interface CommandExit {
  readonly exitCode: number | null;
  readonly signal: string | null;
  readonly durationMs: number;
  readonly failure?: { readonly code: string; readonly message: string } | undefined;
}

/** How a context becomes another user. */
export type UserMethod = "none" | "sudo" | "su";

/** Functions of the part `mitogen:api` that `run` calls. */
export const RUN_COMMAND: FunctionRef<[request: CommandRequest, output: Sender<unknown>], CommandExit> =
  apiRef("runCommand");
export const USER_METHOD: FunctionRef<[user: string], UserMethod> = apiRef("userMethod");

/**
 * How long a background process may be silent before the rest of its output is given up, once the command has
 * ended.
 */
const SILENCE_MS = 1000;

/** The other end of `run`, in a context. */
export function farSideOf(router: CoreRouter): Record<string, (...args: never[]) => unknown> {
  return {
    async runCommand(request: CommandRequest, output: Sender<unknown>): Promise<CommandExit> {
      const { argv, cwd, hasInput } = request;
      const env = environment(request.env);
      const call = currentCall();
      const start = process.hrtime.bigint();
      const durationMs = (): number => Math.round(Number(process.hrtime.bigint() - start) / 1e6);
      const spec: ProcessSpec = { argv, cwd, env, hasInput, endSignal: "SIGTERM", silenceMs: SILENCE_MS };
      try {
        const { code, signal } = await runProcess(router, call, spec, output);
        return { exitCode: code, signal, durationMs: durationMs() };
      } catch (error) {
        const failure = startFailure(error, spec);
        if (failure === undefined) throw error;
        return { exitCode: null, signal: null, durationMs: durationMs(), failure };
      }
    },
    userMethod(user: string): UserMethod {
      if (userName() === user) return "none";
      // Root needs no password for either of them, and small systems have no sudo.
      return process.geteuid?.() === 0 && findProgram("sudo") === undefined ? "su" : "sudo";
    },
  };
}

function environment(changes: CommandRequest["env"] = {}): NodeJS.ProcessEnv {
  const env = { ...process.env };
  for (const [name, value] of Object.entries(changes)) {
    if (value === undefined) delete env[name];
    else env[name] = value instanceof Secret ? value.reveal() : value;
  }
  return env;
}

/** Why a process was not started, in words. Undefined for an error with another cause. */
function startFailure(error: unknown, { argv, cwd, env }: ProcessSpec): CommandExit["failure"] {
  const { code, syscall } = error as NodeJS.ErrnoException;
  if (code === undefined || syscall?.startsWith("spawn") !== true) return undefined;
  const message = folderFault(cwd) ?? startFault(code, { file: argv[0], path: env?.["PATH"], cwd });
  return { code, message: message ?? (nameLimit(error) as Error).message };
}

/** Whether the folder is missing: the system has the same code for a missing program and a missing folder. */
function folderFault(cwd: string | undefined): string | undefined {
  const name =
    cwd === undefined ? "the working directory of the context" : `the folder ${JSON.stringify(cwd)}`;
  try {
    const path = cwd ?? process.cwd();
    if (!statSync(path).isDirectory()) return `${name} is not a folder`;
    accessSync(path, constants.X_OK);
    return undefined;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EACCES"
      ? `${name} may not be entered by this user`
      : `${name} does not exist`;
  }
}

function userName(): string | undefined {
  try {
    return userInfo().username;
  } catch {
    return undefined; // This user has no name.
  }
}
