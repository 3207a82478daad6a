/**
 * Reads src/layers.json: the rooms of src/ and the direction of imports between them, what travels to a context, and what its parts share with
 * the payload. `node scripts/layers.mjs` checks src/ and the tables of docs/architecture.md against it. `--write` updates these tables.
 */
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { posix } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../", import.meta.url));
const PAGE = `${root}docs/architecture.md`;
/** In a folder with more files, none is found at a glance. A folder of connection methods has a file for each. */
const MAX_FILES = 15;
const MAY_BE_LARGE = /(^|\/)methods$/;

export const manifest = JSON.parse(readFileSync(`${root}src/layers.json`, "utf8"));

/** The rooms, from the ground up; those of one layer stand beside each other. */
export const rooms = manifest.layers.flatMap((layer) => Object.keys(layer));
const levels = new Map(
  manifest.layers.flatMap((layer, level) => Object.keys(layer).map((room) => [room, level])),
);

/** The files of src/, by their paths in it. */
export function sources() {
  return readdirSync(`${root}src`, { recursive: true })
    .map((path) => path.replaceAll("\\", "/"))
    .filter((path) => path.endsWith(".ts"))
    .sort();
}

const isGenerated = (file) => file.endsWith(".generated.ts");

/** The folder of a file; a file at the top is a room of its own. */
export function roomOf(file) {
  return file.includes("/") ? posix.dirname(file) : file;
}

/** What a file imports, types included, and what it adds to: for each the specifier, and the path in src/ if it is one of ours. */
export function importsOf(file, text = readFileSync(`${root}src/${file}`, "utf8")) {
  const found = text.matchAll(
    /^(?:import|export)\s+(?:type\s+)?(?:[\w*{][^;"'=()]*?\sfrom\s+)?["']([^"'\n]+)["'];$|^declare module ["']([^"'\n]+)["']|^(?! *\*).*\bimport\(["']([^"']+)["']\)/gm,
  );
  return [...found].map(([, fromStatic, added, fromCall]) => {
    const specifier = fromStatic ?? added ?? fromCall;
    const target = specifier.startsWith(".")
      ? posix.join(posix.dirname(file), specifier).replace(/^\.\//, "")
      : undefined;
    return { file, specifier, target };
  });
}

/** Why an import is against the layers; undefined if it is not. */
export function objection({ file, specifier, target }) {
  if (specifier.startsWith("node:")) return undefined;
  const from = roomOf(file);
  if (!levels.has(from)) return `${from} is no room of src/layers.json`;
  if (target === undefined) {
    return manifest.packages.includes(from) ? undefined : `${file} uses the package ${specifier}`;
  }
  const to = roomOf(target);
  if (!levels.has(to)) return `${to} is no room of src/layers.json`;
  return from === to || levels.get(to) < levels.get(from) ? undefined : `${file} imports ${target}`;
}

/** Imports that go up, or to a room beside. */
export function objections() {
  return sources()
    .flatMap((file) => importsOf(file))
    .map(objection)
    .filter((each) => each !== undefined);
}

/** Sets of files that import each other, whatever they import. */
export function circles() {
  const arrows = new Map(
    sources().map((file) => [
      file,
      importsOf(file)
        .map(({ target }) => target)
        .filter((target) => target !== undefined && !isGenerated(target)),
    ]),
  );
  // Tarjan's algorithm.
  const found = [];
  const index = new Map();
  const low = new Map();
  const stack = [];
  const visit = (file) => {
    index.set(file, index.size);
    low.set(file, index.get(file));
    stack.push(file);
    for (const target of arrows.get(file) ?? []) {
      if (!index.has(target)) visit(target);
      if (stack.includes(target)) low.set(file, Math.min(low.get(file), low.get(target)));
    }
    if (low.get(file) !== index.get(file)) return;
    const circle = stack.splice(stack.indexOf(file));
    if (circle.length > 1) found.push(circle.sort());
  };
  for (const file of arrows.keys()) if (!index.has(file)) visit(file);
  return found;
}

/** Folders with too many files. */
export function crowded() {
  const counts = new Map();
  for (const room of sources().map(roomOf)) counts.set(room, (counts.get(room) ?? 0) + 1);
  return [...counts].filter(([room, count]) => count > MAX_FILES && !MAY_BE_LARGE.test(room));
}

/** Whether a file, as `src/…`, may be in a bundle that takes `names`: rooms, files, or all that the payload may take. */
export function mayTravel(names) {
  const all = new Set(names.flatMap((name) => (name === "payload" ? manifest.payload.takes : [name])));
  return (path) => {
    const file = path.replace(/^src\//, "");
    return all.has(file) || all.has(roomOf(file));
  };
}

/** The module that holds what the payload shares with its parts, for a file in `room`. */
export function sharedModule(room) {
  const lines = [];
  const members = [];
  for (const [file, names] of Object.entries(manifest.shared)) {
    // A string stands for an object, all of whose members are shared.
    const isObject = typeof names === "string";
    const path = posix.relative(room, file);
    lines.push(`import { ${isObject ? names : names.join(", ")} } from "${path}";`);
    members.push(isObject ? `...${names}` : names.join(", "));
  }
  return `${lines.join("\n")}\n\nexport const SHARED: object = {\n  ${members.join(",\n  ")},\n};\n`;
}

/** What a bundled part has in place of a module that the payload shares with it; undefined for any other. */
export function sharedStub(file) {
  const names = manifest.shared[file] ?? manifest.sharedLater[file];
  if (names === undefined) return undefined;
  return typeof names === "string"
    ? "module.exports = shared;"
    : `export const { ${names.join(", ")} } = shared;`;
}

/** The tables of docs/architecture.md, by what stands in the comment above each. */
function tables() {
  const table = (head, rows) => [
    `| ${head.join(" | ")} |`,
    `|${"---|".repeat(head.length)}`,
    ...rows.map((row) => `| ${row.join(" | ")} |`),
  ];
  const roomRows = [...manifest.layers.entries()]
    .reverse()
    .flatMap(([level, layer]) =>
      Object.entries(layer).map(([room, holds]) => [
        level,
        `\`${room}${room.endsWith(".ts") ? "" : "/"}\``,
        holds,
      ]),
    );
  const partRows = Object.entries(manifest.parts)
    .filter(([, part]) => part.aheadOf !== undefined)
    .map(([name, { entry, thread, aheadOf, holds }]) => [
      `\`mitogen:${name}\``,
      thread,
      aheadOf,
      `\`${entry}\`${holds === undefined ? "" : `: ${holds}`}`,
    ]);
  const loadedRows = Object.entries(manifest.loaded).map(([file, row]) => [file, row.with, row.holds]);
  const fileRows = Object.entries(manifest.files).map(([file, holds]) => [`\`src/${file}\``, holds]);
  return {
    layers: table(["layer", "room", "holds"], roomRows),
    loaded: table(["file", "is loaded with", "holds"], loadedRows),
    parts: table(["part", "thread", "sent ahead of", "holds"], partRows),
    files: table(["file", "holds"], fileRows),
  };
}

/** docs/architecture.md with its tables as they must be. */
function pageWithTables(page) {
  return Object.entries(tables()).reduce((text, [name, lines]) => {
    const mark = `<!-- from src/layers.json: ${name} -->\n`;
    const start = text.indexOf(mark) + mark.length;
    if (start < mark.length) throw new Error(`docs/architecture.md has no line ${mark}`);
    const length = /^(\|.*\n)*/.exec(text.slice(start))[0].length;
    return `${text.slice(0, start)}${lines.join("\n")}\n${text.slice(start + length)}`;
  }, page);
}

/** What is wrong or missing in src/layers.json and docs/architecture.md. */
export function listingProblems() {
  const files = sources().filter((file) => !isGenerated(file));
  const listed = Object.keys(manifest.files);
  const page = readFileSync(PAGE, "utf8");
  const found = [
    ...rooms
      .filter((room) => !files.some((file) => roomOf(file) === room))
      .map((room) => `src/layers.json has a room without files: ${room}`),
    ...files
      .filter((file) => !listed.includes(file))
      .map((file) => `src/layers.json does not say what is in ${file}`),
    ...listed
      .filter((file) => !files.includes(file))
      .map((file) => `src/layers.json lists ${file}, which is not there`),
    ...[manifest.payload, ...Object.values(manifest.parts), ...Object.values(manifest.programs)]
      .flatMap(({ takes }) => takes)
      .filter((name) => name !== "payload" && !rooms.includes(name) && !sources().includes(name))
      .map((name) => `src/layers.json has ${name} travel, which is not there`),
  ];
  if (pageWithTables(page) !== page) {
    found.push(
      "docs/architecture.md has other tables than src/layers.json: run node scripts/layers.mjs --write",
    );
  }
  return found;
}

/** Everything that is wrong with src/, as sentences. */
function problems() {
  return [
    ...objections().map((each) => `against the layers: ${each}`),
    ...circles().map((circle) => `import circle: ${circle.join(" ")}`),
    ...crowded().map(([room, count]) => `more than ${MAX_FILES} files: src/${room} has ${count}`),
    ...listingProblems(),
  ];
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  if (process.argv.includes("--write")) {
    const page = readFileSync(PAGE, "utf8");
    writeFileSync(PAGE, pageWithTables(page));
  }
  const found = problems();
  for (const each of found) console.error(each);
  if (found.length > 0) process.exitCode = 1;
}
