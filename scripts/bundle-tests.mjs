/**
 * Bundles the modules of build/src that the tests import. Loading them one by one takes 0.15 s, in each of some hundred
 * processes. Every module stays where it is and re-exports its part of the bundle, so that a process has each
 * of them once, whichever of them its files import.
 */
import { writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { build } from "esbuild";

const FOLDER = "build/src";
/** The modules that programs import. Modules that these import dynamically stay apart, and are loaded when they are used. */
const ENTRIES = [`${FOLDER}/index.js`, `${FOLDER}/fleet/index.js`];

const OPTIONS = {
  bundle: true,
  format: "esm",
  keepNames: true,
  metafile: true,
  outdir: FOLDER,
  packages: "external",
  platform: "node",
  splitting: true,
  target: "node20",
  write: false,
};

export async function bundleTests() {
  const { metafile } = await build({ ...OPTIONS, entryPoints: ENTRIES });
  const groups = groupModules(metafile.inputs);
  const exported = await readExports([...groups.values()].flat());
  const { outputFiles } = await build({
    ...OPTIONS,
    entryPoints: [...groups.keys()],
    chunkNames: "bundled-[hash]",
    plugins: [groupPlugin(groups, exported)],
  });
  for (const { path, text } of outputFiles) writeFileSync(path, text);
  for (const [group, modules] of groups) {
    for (const module of modules) {
      const bundle = join(relative(dirname(module), FOLDER) || ".", `${group}.js`);
      const names = exported.get(module).map((name) => `${longName(module, name)} as ${name}`);
      writeFileSync(module, `export { ${names.join(", ")} } from "./${bundle}";\n`);
    }
  }
}

/** The modules that an import loads at once, and for each module that is imported dynamically those that it brings. */
function groupModules(inputs) {
  const groups = new Map();
  const taken = new Set();
  const starts = [ENTRIES];
  for (let start = starts.shift(); start !== undefined; start = starts.shift()) {
    const modules = [];
    const add = (path) => {
      if (taken.has(path) || !path.startsWith(FOLDER)) return;
      taken.add(path);
      modules.push(path);
      for (const { path: next, kind } of inputs[path].imports) {
        if (kind === "dynamic-import") starts.push([next]);
        else add(next);
      }
    };
    start.forEach(add);
    if (modules.length > 0) groups.set(`bundled-${groups.size}`, modules);
  }
  return groups;
}

async function readExports(modules) {
  const { metafile } = await build({
    ...OPTIONS,
    bundle: false,
    splitting: false,
    packages: undefined,
    entryPoints: modules,
  });
  const outputs = Object.values(metafile.outputs);
  return new Map(outputs.map(({ entryPoint, exports }) => [entryPoint, exports]));
}

/** Gives each group a module that exports all of its modules. */
function groupPlugin(groups, exported) {
  return {
    name: "groups",
    setup({ onResolve, onLoad }) {
      onResolve({ filter: /^bundled-\d+$/ }, ({ path }) => ({ path, namespace: "group" }));
      onLoad({ filter: /./, namespace: "group" }, ({ path: group }) => {
        const lines = groups.get(group).map((module) => {
          const names = exported.get(module).map((name) => `${name} as ${longName(module, name)}`);
          return `export { ${names.join(", ")} } from "./${relative(FOLDER, module)}";`;
        });
        return { contents: lines.join("\n"), resolveDir: FOLDER };
      });
    },
  };
}

function longName(module, name) {
  return `${relative(FOLDER, module).replace(/\W/g, "_")}_${name}`;
}
