import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import * as fs from "node:fs";
import { existsSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { Writable } from "node:stream";
import {
  type Context,
  getFile,
  type LogRecord,
  putFile,
  type Router,
  type SshOptions,
} from "../../src/index.ts";
import * as remote from "../fixtures/remote/functions.ts";
import * as withMitogen from "../fixtures/remote/with-mitogen.ts";
import type { CollectedLogs } from "./collect-logs.ts";
import { part } from "./lab-methods.ts";
import { processesGone } from "./leak-check.ts";
import { sshTo } from "./ssh-options.ts";

/** How to log in to a machine of the lab that has no usable node. */
export function sshToHost(name: string, username: string = part("nodeless").account): SshOptions {
  const { port, knownHosts } = part("nodeless");
  const sshArgs = ["-o", `UserKnownHostsFile=${knownHosts}`];
  return sshTo(username, { hostname: hostOf(name).host, port, sshArgs });
}

/** A path of that machine, as root of this machine sees it. */
export function pathAt(name: string, path: string): string {
  return join(hostOf(name).root, path);
}

/** Removes what the library may have left there. */
export function clearHost(name: string): void {
  for (const folder of foldersAt(name)) rmSync(pathAt(name, folder), { recursive: true, force: true });
}

/** Everything in the folders for a node, as absolute paths of that machine. */
export function keptAt(name: string): string[] {
  return foldersAt(name).flatMap((folder) =>
    readdirSync(pathAt(name, folder), { recursive: true, encoding: "utf8" }).map((each) =>
      join(folder, each),
    ),
  );
}

/** The folders for a node that exist: in each home, and the shared ones. */
function foldersAt(name: string): string[] {
  const homes = readdirSync(pathAt(name, "/home")).map((each) => `/home/${each}`);
  const own = [...homes, "/root"].map((home) => `${home}/.cache/mitogen`);
  const shared = ["/var/tmp", "/tmp"].flatMap((folder) =>
    readdirSync(pathAt(name, folder))
      .filter((each) => /^mitogen-\d+$/.test(each))
      .map((each) => join(folder, each)),
  );
  return [...own, ...shared].filter((folder) => existsSync(pathAt(name, folder)));
}

/**
 * Fails unless a context does what every context can: calls, modules, logs, files, a context below, its end. `node`
 * matches the path of the node that must run it.
 */
export async function goes(
  logs: CollectedLogs,
  router: Router,
  context: Context,
  node: RegExp,
): Promise<void> {
  const exe = await context.call(fs.readlinkSync, "/proc/self/exe");
  assert.match(exe, node);
  assert.equal(await context.call(remote.add, 2, 3), 5);
  const before = logs.records.length;
  // This function is in a module that imports others.
  await context.call(withMitogen.logEveryLevel);
  const isOwn = ({ logger, mitogenName }: LogRecord): boolean =>
    logger === `mitogen.ctx.${context.name}` && mitogenName === "app.remote";
  assert.equal(logs.records.slice(before).filter(isOwn).length, 4);
  const bytes = randomBytes(100_000);
  const folder = exe.slice(0, exe.lastIndexOf("/"));
  await putFile(context, `${folder}/a file`, bytes);
  const back: Buffer[] = [];
  const sink = new Writable({
    write(chunk, _, done) {
      back.push(chunk);
      done();
    },
  });
  await getFile(context, `${folder}/a file`, sink);
  assert.deepEqual(Buffer.concat(back), bytes);
  await context.call(fs.unlinkSync, `${folder}/a file`);
  const below = await router.local({ via: context });
  assert.equal(await below.call(fs.readlinkSync, "/proc/self/exe"), exe);
  const pids = [await below.call(remote.pid), await context.call(remote.pid)];
  await context.shutdown();
  await below.disconnected;
  assert.deepEqual(await processesGone(pids, 10_000), []);
}

function hostOf(name: string): { host: string; root: string } {
  const found = part("nodeless").hosts[name];
  if (found === undefined) throw new Error(`The lab has no host "${name}"`);
  return found;
}
