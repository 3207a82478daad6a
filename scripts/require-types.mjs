/**
 * Writes dist/require.d.cts: the types of what `require("mitogen")` returns. TypeScript does not let CommonJS import the
 * values of an ES module, but its types, with `resolution-mode`. Each class and function is declared by its type there.
 */
import { readFileSync, writeFileSync } from "node:fs";

const FROM_MODULE = 'from "./index.js" with { "resolution-mode": "import" }';
const EXPORTS = /^export \{([^}]*)\} from "\.\/(.+)\.ts";$/gm;

export function writeRequireTypes() {
  const lines = [
    `import type * as mitogen ${FROM_MODULE};`,
    // What is declared below takes precedence.
    `export type * ${FROM_MODULE};`,
  ];
  for (const [, names, file] of readFileSync("dist/index.d.ts", "utf8").matchAll(EXPORTS)) {
    const text = readFileSync(`dist/${file}.d.ts`, "utf8");
    for (const name of names.split(",").map((each) => each.trim())) {
      if (name === "" || name.startsWith("type ")) continue;
      lines.push(`export declare const ${name}: typeof mitogen.${name};`);
      const [isClass, parameters = ""] =
        new RegExp(`^export declare (?:abstract )?class ${name}\\b(<\\w+ = unknown>)?`, "m").exec(text) ?? [];
      const given = parameters.replace(" = unknown", "");
      if (isClass) lines.push(`export type ${name}${parameters} = mitogen.${name}${given};`);
    }
  }
  writeFileSync("dist/require.d.cts", `${lines.join("\n")}\n`);
}
