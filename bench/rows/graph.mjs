// The first call of a function whose module imports many others, over a link with a delay.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { noop } from "../functions.mjs";
import { Ours, timed } from "../ours.mjs";
import { scratchFolder } from "../scratch.mjs";

const MODULES = 600;
const ROUND_TRIP_MS = 250;
const PROXY = fileURLToPath(new URL("../../tests/support/delay-proxy.mjs", import.meta.url));
const LINK = [process.execPath, PROXY, "--delay-ms", String(ROUND_TRIP_MS / 2), "--"];

/** The first call of `fn` in a new context at the other end of the link. */
function firstCall(library, fn) {
  const ours = new Ours(library);
  let context;
  return {
    before: async () => {
      context = await ours.router.exec({ command: LINK, nodePath: process.execPath });
    },
    run: () => timed(() => context.call(fn)),
    after: () => context.shutdown({ wait: true }),
    close: () => ours.close(),
  };
}

export const rows = [
  {
    what: `first call of a function whose graph has ${MODULES} modules, round trip ${ROUND_TRIP_MS} ms`,
    unit: "ms",
    pairs: 5,
    ours: async (library) => {
      const { count } = await import(pathToFileURL(makeModules()).href);
      return firstCall(library, count);
    },
    peers: [
      {
        name: "first call of a no-op",
        goal: { moreAtMost: ROUND_TRIP_MS },
        start: (library) => firstCall(library, noop),
      },
    ],
  },
];

/**
 * Makes a tree of modules. Returns the path of the first. Each module imports two others and exports how many
 * there are below it, itself included.
 */
function makeModules() {
  const folder = scratchFolder();
  const nameOf = (at) => `module-${at}.mjs`;
  for (let at = 1; at <= MODULES; at++) {
    const below = [2 * at, 2 * at + 1].filter((each) => each <= MODULES);
    const imports = below.map((each) => `import { count as count${each} } from "./${nameOf(each)}";\n`);
    const sum = ["1", ...below.map((each) => `count${each}()`)].join(" + ");
    writeFileSync(
      join(folder, nameOf(at)),
      `${imports.join("")}export function count() {\n  return ${sum};\n}\n`,
    );
  }
  return join(folder, nameOf(1));
}
