/**
 * Describes functions of a module for `mitogen run`: for its help, and for checks of arguments before anything starts. A module exports
 * it as `options`, with a member for each function that it describes; functions of a class or namespace have their path as the name.
 *
 * ```ts
 * export const options = {
 *   restart: { summary: "restarts a service", args: [{ name: "service", text: "the unit" }] },
 * } satisfies TaskOptions;
 * ```
 */
export type TaskOptions = Readonly<Record<string, TaskDescription>>;

/** The description of a function of a module. */
export interface TaskDescription {
  /** What the function does, in one line. */
  readonly summary?: string;
  /** The arguments, in order. A function that has a description without them takes none. */
  readonly args?: readonly TaskArgument[];
}

/** One argument of a function. */
export interface TaskArgument {
  /** The name of the argument in the help. */
  readonly name: string;
  /** What the argument means, for the help. */
  readonly text?: string;
  /** What the word is converted to; `"string"` by default. `"boolean"` takes `true` and `false`. */
  readonly type?: "string" | "number" | "boolean" | "json";
  /** The words that are allowed; any by default. */
  readonly choices?: readonly string[];
  /** Whether the argument may be left out. All later arguments must then be optional, too. */
  readonly optional?: boolean;
  /** Whether the last argument takes all further words. */
  readonly rest?: boolean;
}
