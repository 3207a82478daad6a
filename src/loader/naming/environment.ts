import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

/**
 * Returns the runtime of this program if it is not Node: `Bun 1.4.5`. Only Node has V8's inspector, which knows
 * where functions were written.
 */
export function otherRuntime(): string | undefined {
  const { bun, deno } = process.versions as Partial<Record<string, string>>;
  return (bun && `Bun ${bun}`) ?? (deno && `Deno ${deno}`);
}

/**
 * Describes where code without a file was written, as part of a sentence. `url` is V8's name for the code.
 */
export function placeWithoutFile(url: string): string {
  const name = url.slice(url.lastIndexOf("/") + 1);
  if (/^REPL\d*$/.test(name)) return "in the REPL";
  if (name === "[stdin]") return "in a script read from stdin";
  // Node names code from -e and code from stdin alike.
  if (/^\[eval\d*\]$/.test(name)) {
    const isOption = process.execArgv.some((word) => /^(?:-[a-z]*[ep]|--eval|--print)\b/.test(word));
    return isOption ? "in code given to node with -e" : "in a script read from stdin";
  }
  return "in code that has no file";
}

/** Returns the texts for refusing a function that Next.js has put into a bundle. Undefined for any other file. */
export function nextRefusal(id: string, name: string): [what: string, cure: string] | undefined {
  const [, application] = /^(.*?)\/\.next\//.exec(fileURLToPath(id)) ?? [];
  if (application === undefined) return undefined;
  const file = `${application}/${existsSync(`${application}/src`) ? "src/" : ""}tasks.ts`;
  const reference = `ref(pathToFileURL(${JSON.stringify(file)}), ${JSON.stringify(name || "name")})`;
  return ["part of a bundle that Next.js made", `name it by the file it was written in, as ${reference}`];
}

/** Returns the cure for a function that its file does not export. */
export function exportCure(source: string): string {
  return isBundle(source) ? "export it from the entry point of the bundle" : "export it";
}

/**
 * Recognises a bundle by the comments of bundlers and by the length of its lines. In the first line, people write such a
 * comment too.
 */
function isBundle(source: string): boolean {
  return /\n\/\/ \S+\.[cm]?[jt]sx?$/m.test(source) || source.length > 200 * source.split("\n").length;
}
