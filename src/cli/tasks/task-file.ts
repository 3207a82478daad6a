import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { parse } from "es-module-lexer";
import { type FunctionRef } from "../../functions/callable.ts";
import { ref } from "../../loader/naming/located-ref.ts";
import { didYouMean } from "../../text/nearest.ts";
import { UsageError } from "../usage-error.ts";
import { readSource } from "./read-source.ts";

/** A function of a module, as `FILE#FUNCTION` names it. The module is read, never imported here. */
export interface Task {
  readonly file: string;
  readonly url: string;
  /** The path in the module's exports: `restart`, `Tasks.restart`. */
  readonly path: string;
  readonly fn: FunctionRef;
  /** Whether the module exports `options`. */
  readonly hasOptions: boolean;
}

/** Finds the task. Throws a UsageError if there is no such file, or if the file shows that it has no such function. */
export function findTask(operand: string | undefined): Task {
  if (operand === undefined)
    throw new UsageError("Which function? Write FILE#FUNCTION, such as tasks.ts#restart", "run");
  const mark = operand.lastIndexOf("#");
  const file = resolve(mark < 0 ? operand : operand.slice(0, mark));
  const path = mark < 0 ? "" : operand.slice(mark + 1);
  const names = exportedNames(file);
  if (path === "") {
    const list = names?.filter((name) => name !== "options").join(", ") || "none that can be seen";
    throw new UsageError(
      `Which function of ${operand}? Write ${file.slice(file.lastIndexOf("/") + 1)}#FUNCTION; it exports ${list}`,
      "run",
    );
  }
  const [name = ""] = path.split(".");
  if (names !== undefined && !names.includes(name)) {
    throw new UsageError(
      `${file} exports no "${name}"${didYouMean(name, names) || `; it exports ${names.join(", ") || "nothing"}`}`,
      "run",
    );
  }
  const url = pathToFileURL(file).href;
  return { file, url, path, fn: functionRef(url, path), hasOptions: names?.includes("options") ?? false };
}

function functionRef(url: string, path: string): FunctionRef {
  try {
    return ref(url, path) as unknown as FunctionRef;
  } catch (error) {
    throw new UsageError((error as Error).message, "run");
  }
}

/** The names that a module exports; undefined if its text does not show them all: CommonJS, JSX, `export *`. */
function exportedNames(file: string): string[] | undefined {
  let source: string;
  try {
    source = readSource(file);
  } catch (error) {
    throw new UsageError(`Cannot read ${file}: ${(error as Error).message}`, "run");
  }
  try {
    const found = parse(source)[1];
    // CommonJS has no such exports, and `export *` does not list its names.
    if (found.length === 0 || found.some(({ type }) => type === "reexport-all")) return undefined;
    return found.flatMap((entry) => (entry.type === "reexport-all" || entry.typeOnly ? [] : [entry.name]));
  } catch {
    return undefined;
  }
}
