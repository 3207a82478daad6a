// The Nodes of the lab: every supported major from npm, and places where any account can run them.
import { createHash } from "node:crypto";
import {
  chmodSync,
  copyFileSync,
  existsSync,
  linkSync,
  mkdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { publicFolder } from "./places.mjs";
import { labFolder, retry, root, run } from "./run.mjs";

const MANIFEST = join(root, "scripts/lab/nodes");
const FOLDER = join(labFolder, "nodes");

/**
 * Installs the Nodes, unless those of the same lock file are installed already. Returns `{ major: path }`.
 * They run only once `libraries` are there.
 */
export async function installNodes({ libraries }) {
  const lock = readFileSync(join(MANIFEST, "package-lock.json"));
  const hash = createHash("sha256").update(lock).digest("hex");
  const marker = join(FOLDER, "installed");
  const { dependencies } = JSON.parse(readFileSync(join(MANIFEST, "package.json"), "utf8"));
  const names = Object.keys(dependencies);
  const fresh = existsSync(marker) && readFileSync(marker, "utf8") === hash;
  if (!fresh || !names.every((name) => existsSync(binary(name)))) {
    mkdirSync(FOLDER, { recursive: true });
    for (const file of ["package.json", "package-lock.json"])
      copyFileSync(join(MANIFEST, file), join(FOLDER, file));
    await retry(() => run("npm", ["ci", "--prefix", FOLDER, "--no-audit", "--no-fund"], { cwd: FOLDER }));
    await libraries;
    for (const name of names) await run(binary(name), ["--version"]);
    writeFileSync(marker, hash);
  }
  const entries = names.map((name) => {
    const version = dependencies[name].split("@")[1];
    const path = binary(name);
    return [name.replace("node", ""), isReachable(path) ? path : publish(path, `v${version}`)];
  });
  return { nodes: Object.fromEntries(entries), note: `${names.join(" ")}${fresh ? "" : " installed"}` };
}

/**
 * A copy of `node` that any account can execute, alone in its folder so that the folder can go on a PATH.
 * The running Node may live under a home that others cannot enter.
 */
export function publish(node, version) {
  const target = join(publicFolder, version, "node");
  const source = statSync(node);
  if (existsSync(target) && statSync(target).size === source.size) return target;
  mkdirSync(dirname(target), { recursive: true });
  rmSync(target, { force: true });
  try {
    if ((source.mode & 0o005) !== 0o005) throw new Error("A link would change the mode of the original");
    linkSync(node, target);
  } catch {
    copyFileSync(node, target);
    chmodSync(target, 0o755);
  }
  return target;
}

function binary(name) {
  return join(FOLDER, "node_modules", name, "bin/node");
}

function isReachable(path) {
  for (let at = path; at !== dirname(at); at = dirname(at)) {
    if ((statSync(at).mode & 0o001) === 0) return false;
  }
  return true;
}
