/** Programs in TypeScript, run under tsx and in contexts. */

import { takesLong } from "../support/extent.ts";
import { plainAndRemote } from "../support/plain-and-remote.ts";

const files: Record<string, string> = {
  "package.json": `{ "type": "module", "imports": { "#lib/*": "./src/lib/*.js" } }`,
  "tsconfig.json": `{
    "extends": "./config/base.json", // where paths are
    "compilerOptions": { "jsx": "react-jsx", "jsxImportSource": "tiny", },
  }`,
  "config/base.json": JSON.stringify({
    compilerOptions: {
      target: "es2022",
      baseUrl: "..",
      paths: { "@/*": ["./absent/*", "./src/*"], exact: ["./src/exact.ts"], shadowed: ["./src/shadowed.ts"] },
    },
  }),
  "src/exact.ts": "export const exact: string = 'exact';",
  "src/shadowed.ts": "export const shadowed = 'ours';",
  "src/lib/a.ts": "export const a: number = 1;",
  "src/folder/index.ts": "export default 'folder';",
  "src/both.ts": "export const both: string = 'ts';",
  "src/both.js": "export const both = 'js';",
  "src/view.tsx": "export const view = <div id='a'>x</div>;",
  "src/data.json": `{ "name": "data", "default": 1 }`,
  "src/from-js.js":
    "export { both } from './both'; export { a } from '@/lib/a'; export { exact } from './exact.js';",
  "node_modules/shadowed/package.json": `{ "type": "module", "exports": "./index.js" }`,
  "node_modules/shadowed/index.js": "export const shadowed = 'installed';",
  "node_modules/in-ts/package.json": `{ "type": "module", "exports": "./src/index.js" }`,
  "node_modules/in-ts/src/index.ts": "export { inTs } from './more.js';",
  "node_modules/in-ts/src/more.ts": "export enum inTs { A = 'enum' }",
  "node_modules/tiny/package.json": `{ "type": "module", "exports": { "./jsx-runtime": "./jsx.js" } }`,
  "node_modules/tiny/jsx.js":
    "export const jsx = (type, props) => ({ type: typeof type === 'function' ? type(props) : type, props }); export const jsxs = jsx; export const Fragment = 'fragment';",
  "resolution.ts": `
    import { exact } from "exact";
    import { shadowed } from "shadowed";
    import { a } from "@/lib/a";
    import { a as again } from "@/lib/a.js";
    import { a as viaImports } from "#lib/a";
    import { a as viaBaseUrl } from "src/lib/a";
    import folder from "./src/folder";
    import { both } from "./src/both.js";
    import { view } from "./src/view.js";
    import { inTs } from "in-ts";
    import * as fromJs from "./src/from-js.js";
    import data, { name } from "./src/data.json";
    export const resolution = () => [exact, shadowed, a, again, viaImports, viaBaseUrl, folder, both, view, inTs.A, fromJs, data, name];
  `,
  "syntax.ts": `
    import type { Shape } from "./types.js";
    import { type Other, Color, Size } from "./types.js";
    const enum Local { A = 1, B = A << 3, C = "xy".length }
    enum Reverse { X, Y = 5 }
    namespace N { export const a = 1; export namespace M { export function f() { return a + 1; } } }
    namespace N { export const b = a + 10; }
    class Point { constructor(readonly x: number, private y = "p") {} get text() { return this.x + this.y; } }
    abstract class Base<T> { declare z: number; w!: T; s?: string; static #p = 1; static get p() { return Base.#p; } }
    class Derived extends Base<number> {}
    function over(a: string): void;
    function over(a: unknown) { return a; }
    const shape = { a: 1 } satisfies Shape;
    export const enums = () => [Color.Red, Color[0], Size.Big, Local.B, Local.C, Reverse[5]];
    export const namespaces = () => [N.M.f(), N.b];
    export const classes = () => [new Point(3).text, Object.keys(new Derived()), Base.p];
    export const erased = () => [shape, over("o"), <any>1, 1 as const, [1]![0]!, null as Other | null];
    export const lowered = async () => {
      let a: any = null;
      a ??= 1;
      a &&= 2;
      class Z { static { (this as any).q = 1; } #z = 1; static has(o: any) { return #z in o; } }
      const list: number[] = [];
      for await (const each of (async function* () { yield 1; yield 2; })()) list.push(each);
      return [a, (Z as any).q, Z.has(new Z()), Z.has({}), list, 1_000, String(2n ** 3n), /(?<y>a)/u.exec("a")?.groups?.y];
    };
  `,
  "types.ts":
    "export enum Color { Red, Green } export const enum Size { Small = 1, Big = Small * 2 } export interface Shape { a: number } export type Other = 1;",
  "decorators.ts": `
    const log: string[] = [];
    function wrap(value: any, context: any): any {
      log.push(context.kind + " " + String(context.name));
      if (context.kind === "method") return function (this: unknown, ...args: unknown[]) { return "wrapped " + value.apply(this, args); };
    }
    @wrap class A { @wrap x = 1; @wrap accessor y = 2; @wrap go(a: number) { return a + this.x; } }
    export const standardDecorators = () => [log, new A().go(2), new A().y];
  `,
  "view.tsx": `
    const Text = ({ n }: { n: string }) => n + "!";
    export const tsx = () => [<Text n="x" />, <><b>1</b>{2}</>];
  `,
  "commonjs/package.json": `{ "type": "commonjs" }`,
  "commonjs/class.ts": "class K { static v = 4; } export = K;",
  "commonjs/value.ts": "export const value = 'value';",
  "commonjs/use.ts": `
    import K = require("./class");
    import { value } from "./value";
    export const exportEquals = () => [K.v, value, __filename.split("/").pop(), import.meta.url.split("/").pop()];
  `,
  "either/package.json": "{}",
  "either/other.ts": "export const other = 1; export default 'x';",
  "either/throws.cjs": "throw new Error('from CommonJS');",
  "either/above-throws.ts": "import thrown from './throws.cjs'; export const t = thrown;",
  "either/plain.js": "import wasEs, { name } from 'was-es'; export const inJs = [typeof wasEs, name];",
  "either/both-kinds.ts": `
    import { other } from "./other";
    import wasEs, * as all from "was-es";
    import plain from "../plain.cjs";
    import { inJs } from "./plain.js";
    export { default as wasEsToo } from "was-es";
    export const interop = () => [typeof wasEs, (all as any).name, typeof all.default, plain, inJs];
    export const bothKinds = () => [other, require("./other").other, typeof __dirname];
  `,
  "extension.cts": `
    import os = require("node:os");
    import { exact } from "./src/exact2.cjs";
    export const cts = () => [typeof os.hostname, exact];
  `,
  "src/exact2.cts": "export const exact: string = 'cts';",
  "extension.mts": `
    import K from "./commonjs/class.js";
    import { exact } from "./src/exact2.cjs";
    export const mts = () => [K.v, exact];
  `,
  "node_modules/was-es/index.js":
    "Object.defineProperty(exports, '__esModule', { value: true }); exports.default = () => 1; exports.name = 'x';",
  "node_modules/asks/index.js": "exports.ask = () => import('was-es').then((m) => typeof m.default);",
  "node_modules/asks-es/package.json": `{ "type": "module" }`,
  "node_modules/asks-es/index.js": "export const ask = () => import('was-es').then((m) => typeof m.default);",
  "dynamic.ts": `
    const shown = (m: any) => [typeof m.default, m.name, Object.keys(m).filter((name) => name !== "module.exports")];
    const computed: string = "was-es";
    export const dynamicImports = async () => [
      shown(await import("was-es")), shown(await import(computed)), shown(await import(/* a ) */ \`was-es\`)),
      await import("was-es").then(shown), shown(await import("./plain.cjs")), shown(await import("./types.js")),
      shown(await import((await import("was-es")).name === "x" ? "was-es" : "none")),
      await (await import("asks")).ask(), await (await import("asks-es")).ask(),
    ];
  `,
  "plain.cjs": "module.exports = { default: 1, name: 'plain' };",
  "cases.ts": `
    export { dynamicImports } from "./dynamic.js";
    export { resolution } from "./resolution.js";
    export * from "./syntax.js";
    export * from "./decorators.js";
    export * from "./view.js";
    import * as use from "./commonjs/use.js";
    import * as either from "./either/both-kinds.js";
    import * as cts from "./extension.cjs";
    export const { exportEquals } = (use as any).default ?? use;
    export const { bothKinds, interop } = (either as any).default ?? either;
    import wasEs from "was-es";
    export const failing = async () => {
      const fail = () => import("./either/above-throws.js").then(() => "no error", (error) => error.message);
      return [await fail(), await fail()];
    };
    export const asInNode = () => [typeof wasEs];
    export const { cts: fromCts } = (cts as any).default ?? cts;
    export * from "./extension.mjs";
  `,
};

plainAndRemote("TypeScript", "./cases.ts", files, { loader: "tsx" });

plainAndRemote(
  "Legacy decorators",
  "./cases.ts",
  {
    "package.json": `{ "type": "module" }`,
    "tsconfig.json": `{ "compilerOptions": { "experimentalDecorators": true, "emitDecoratorMetadata": true } }`,
    "cases.ts": `
      const log: string[] = [];
      const on = (...args: any[]) => { log.push(args.length + " " + (args[1] ?? args[0].name)); };
      @on class A { @on x = 1; @on go(@on a: number) { return a; } }
      export const decorated = () => [log, new A().go(2), Object.keys(new A())];
    `,
  },
  { loader: "tsx", skip: takesLong },
);
