/** The functions that the demo calls in other processes: ordinary TypeScript with an npm dependency. */

import { readFileSync } from "node:fs";
import { parse } from "acorn";
import { getLogger } from "mitogen";

enum Size {
  Small = "small",
  Large = "large",
}

export interface Report {
  pid: number;
  node: string;
  statements: number;
  size: Size;
}

const log = getLogger("demo.tasks");

/** Parses JavaScript with acorn, which travels together with this module. */
export function countStatements(source: string): Report {
  const { body } = parse(source, { ecmaVersion: "latest", sourceType: "module" });
  log.info(`parsed ${source.length} characters`);
  console.log(`counted ${body.length} statements in process ${process.pid}`);
  const size = body.length > 2 ? Size.Large : Size.Small;
  return { pid: process.pid, node: process.version, statements: body.length, size };
}

/** Fails with a system error, so that the error shows a TypeScript line. */
export function readSettings(path: string): string {
  const options: { encoding: BufferEncoding } = { encoding: "utf8" };
  return readFileSync(path, options);
}

export function hang(): never {
  for (;;);
}
