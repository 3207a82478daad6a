/** Makes modules that no context has yet, each for one call. */
import { mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { ref } from "../../src/index.ts";
import type { work, workLater } from "./functions.ts";
import type { CallEvent } from "./plan.ts";

/** The same function in another module. */
type Work = typeof work;
type WorkLater = typeof workLater;

const ORDER = "globalThis.mitogenOrder";

export class Modules {
  readonly #folder: string = realpathSync(mkdtempSync(join(tmpdir(), "mitogen-order-")));

  constructor() {
    this.write("package.json", '{"name":"order"}');
    this.write("requires.cjs", requiring("task.n"));
  }

  /** A function for call `n` that does what `work` or `workLater` does. */
  make(module: Exclude<CallEvent["module"], "own">, isLater: boolean, n: number): Work | WorkLater {
    const [whole, rest] = isLater ? ["workLater", "restLater"] : ["work", "rest"];
    switch (module) {
      case "graph":
        this.write(`below-${n}.mjs`, `export const run = (...args) => ${ORDER}.${whole}(...args);`);
        return this.of(`${n}.mjs`, `export { run } from "./below-${n}.mjs";`);
      case "late import":
        this.write(`later-${n}.mjs`, `export const rest = (...args) => ${ORDER}.${rest}(...args);`);
        return this.of(
          `${n}.mjs`,
          `export async function run(task, bytes) {
             ${ORDER}.begin(task);
             const { rest } = await import("./later-${n}.mjs");
             return rest(task, bytes);
           }`,
        );
      case "late require":
        this.writeRequired(n);
        return this.of(`${n}.cjs`, requiring(n));
      case "require":
        this.writeRequired(n);
        return functionOf(join(this.#folder, "requires.cjs"));
    }
  }

  /** The same in a module whose evaluation waits for a gate. */
  makeGate(gate: number, n: number): Work {
    const text = `await ${ORDER}.gateOf(${gate}); export const run = (...args) => ${ORDER}.work(...args);`;
    return this.of(`gate-${n}.mjs`, text) as Work;
  }

  remove(): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }

  private of(name: string, text: string): Work | WorkLater {
    return functionOf(this.write(name, text));
  }

  private writeRequired(n: number): void {
    this.write(`later-${n}.cjs`, `exports.rest = (...args) => ${ORDER}.rest(...args);`);
  }

  private write(name: string, text: string): string {
    const path = join(this.#folder, name);
    writeFileSync(path, text);
    return path;
  }
}

/** Requires a module that cannot have been sent ahead, because its name is computed. The thread waits for it. */
function requiring(n: number | string): string {
  return `exports.run = (task, bytes) => {
    ${ORDER}.begin(task);
    const name = "./later-" + ${n} + ".cjs";
    return require(name).rest(task, bytes);
  };`;
}

function functionOf(path: string): Work | WorkLater {
  // Calls take references as they take functions; the types of the two have nothing in common.
  return ref(pathToFileURL(path), "run") as never;
}
