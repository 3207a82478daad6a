import { Router } from "../../connection/router.ts";
import { ref } from "../../loader/naming/located-ref.ts";
import { onLog } from "../../logging/log-to-file.ts";
import { isOptions } from "../../options/options.ts";
import { oneLine } from "../../text/harmless.ts";
import { UsageError } from "../usage-error.ts";
import type { Task } from "./task-file.ts";

/** How long the module may take to load. */
const TIMEOUT_MS = 30_000;
const TYPES = ["string", "number", "boolean", "json"] as const;

/** The description of one argument, from a module's `options`. */
export interface TaskArgument {
  readonly name: string;
  readonly type: (typeof TYPES)[number];
  readonly text: string;
  readonly isOptional: boolean;
  /** Takes all further words. */
  readonly isRest: boolean;
  readonly choices?: readonly string[];
}

/** The description of one function, from a module's `options`. */
export interface TaskDescription {
  readonly summary: string;
  readonly args: readonly TaskArgument[];
}

/**
 * Reads the description of a function from the `options` that its module exports; undefined if there is none. A local
 * context loads the module, so that nothing of it runs in this process.
 */
export async function describeTask(task: Task, signal: AbortSignal): Promise<TaskDescription | undefined> {
  if (!task.hasOptions) return undefined;
  const router = new Router();
  // Output of the module while it is loaded is not a result.
  const stopListening = onLog(() => undefined);
  try {
    const context = await router.local();
    // `options` is not a function, but its inherited `valueOf` returns it.
    const found = await context
      .with({ signal, timeoutMs: TIMEOUT_MS })
      .call(ref(task.url, "options.valueOf"));
    return readDescription(found, task);
  } catch (error) {
    if (signal.aborted || error instanceof UsageError) throw error;
    throw new UsageError(`Cannot read the options of ${task.file}: ${oneLine((error as Error).message)}`);
  } finally {
    await router.broker.shutdown();
    stopListening();
  }
}

function readDescription(found: unknown, { file, path }: Task): TaskDescription | undefined {
  const given =
    isOptions(found) && Object.hasOwn(found, path) ? (found as Record<string, unknown>)[path] : undefined;
  if (given === undefined) return undefined;
  const refuse = (what: string): UsageError =>
    new UsageError(`The options of ${file} are wrong: ${path}${what}`);
  if (!isOptions(given)) throw refuse(" must be an object with summary and args");
  const { summary = "", args = [] } = given as { summary?: unknown; args?: unknown };
  if (typeof summary !== "string") throw refuse(".summary must be a string");
  if (!Array.isArray(args)) throw refuse(".args must be a list");
  return {
    summary,
    args: args.map((each: unknown, i) => {
      const { name, type = "string", text = "", optional = false, rest = false, choices } = Object(each);
      const at = `.args[${i}]`;
      if (typeof name !== "string" || name === "") throw refuse(`${at}.name must be a string`);
      if (!TYPES.includes(type)) throw refuse(`${at}.type must be one of ${TYPES.join(", ")}`);
      if (typeof text !== "string") throw refuse(`${at}.text must be a string`);
      if (rest && i < args.length - 1) throw refuse(`${at}.rest may be true for the last argument only`);
      const isList = Array.isArray(choices) && choices.every((choice) => typeof choice === "string");
      if (choices !== undefined && !isList) throw refuse(`${at}.choices must be a list of strings`);
      return { name, type, text, isOptional: !!optional, isRest: !!rest, ...(isList && { choices }) };
    }),
  };
}

/** The arguments as the function gets them. Throws a UsageError for words that do not fit. */
export function takeArguments(
  words: readonly string[],
  description: TaskDescription | undefined,
  isJson: boolean,
): unknown[] {
  if (description === undefined) return words.map((word) => (isJson ? parsed(word) : word));
  const { args } = description;
  const usage = args.length === 0 ? "it takes none" : `it takes ${usageOf(description)}`;
  const last = args.at(-1);
  const least = args.filter(({ isOptional, isRest }) => !isOptional && !isRest).length;
  if (words.length < least || (words.length > args.length && last?.isRest !== true)) {
    throw new UsageError(
      `The function got ${words.length} argument${words.length === 1 ? "" : "s"}, but ${usage}`,
      "run",
    );
  }
  return words.map((word, i) => take(word, args[Math.min(i, args.length - 1)] as TaskArgument));
}

/** `SERVICE [PORT] [HOSTS...]`, for the help. */
function usageOf({ args }: TaskDescription): string {
  return args
    .map(({ name, isOptional, isRest }) => {
      const word = oneLine(name).toUpperCase() + (isRest ? "..." : "");
      return isOptional || isRest ? `[${word}]` : word;
    })
    .join(" ");
}

/** The help of a task. */
export function helpOf({ summary, args }: TaskDescription, { path }: Task): string {
  const width = Math.max(0, ...args.map(({ name }) => name.length)) + 2;
  const lines = args.map(({ name, type, text, choices }) => {
    const what = [
      oneLine(text),
      type === "string" ? "" : `(${type})`,
      choices ? `one of ${choices.map((c) => oneLine(c)).join(", ")}` : "",
    ];
    return `    ${oneLine(name).toUpperCase().padEnd(width)}${what.filter((part) => part !== "").join(" ")}`;
  });
  return [`TASK`, `    ${oneLine(path)}${summary === "" ? "" : `: ${oneLine(summary)}`}`, ...lines].join(
    "\n",
  );
}

function take(word: string, { name, type, choices }: TaskArgument): unknown {
  const refuse = (wanted: string): UsageError =>
    new UsageError(`The argument ${oneLine(name).toUpperCase()} must be ${wanted}, got "${word}"`, "run");
  if (choices !== undefined && !choices.includes(word)) throw refuse(`one of ${choices.join(", ")}`);
  switch (type) {
    case "string":
      return word;
    case "number": {
      const number = Number(word);
      if (word.trim() === "" || !Number.isFinite(number)) throw refuse("a number");
      return number;
    }
    case "boolean":
      if (word !== "true" && word !== "false") throw refuse("true or false");
      return word === "true";
    case "json":
      try {
        return JSON.parse(word);
      } catch {
        throw refuse("JSON");
      }
  }
}

function parsed(word: string): unknown {
  try {
    return JSON.parse(word);
  } catch {
    return word;
  }
}
