/**
 * The basics: a child, Node's functions and our own, the bytes of a file, a file streamed there and back, a
 * child of the child, and one shutdown for all.
 */

import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { availableParallelism, hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Blob, CallError, getFile, putFile, type Router, runWithRouter } from "mitogen";

export interface Description {
  pid: number;
  parentPid: number;
  node: string;
}

/** Runs wherever it is called. */
export function describeProcess(): Description {
  return { pid: process.pid, parentPid: process.ppid, node: process.version };
}

/** A Blob is a Uint8Array that prints as its size: a log line or an error never shows the bytes. */
export function readBytes(path: string): Blob {
  return new Blob(readFileSync(path));
}

export function checksum(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

async function main(router: Router): Promise<void> {
  const child = await router.local({ remoteName: "the-basics" });
  console.log(`child: ${child.name}`);

  // A function of Node, and one of this file.
  console.log(`same host: ${(await child.call(hostname)) === hostname()}`);
  console.log(`cores there: ${(await child.call(availableParallelism)) > 0}`);
  const { pid, node } = await child.call(describeProcess);
  console.log(`another process: ${pid !== process.pid}, Node ${node}`);

  // An error arrives with its code.
  try {
    await child.call(process.chdir, "/nonexistent");
  } catch (error) {
    if (!(error instanceof CallError)) throw error;
    console.log(`error: ${error.code}`);
  }

  // The contents of a file come here, and go there.
  const own = fileURLToPath(import.meta.url);
  const bytes = await child.call(readBytes, own);
  console.log(`this file: ${bytes}`.replace(/\d+/, "…"));
  console.log(`same bytes: ${(await child.call(checksum, bytes)) === checksum(readFileSync(own))}`);

  // A file of any size is streamed, there and back.
  const folder = mkdtempSync(join(tmpdir(), "the-basics-"));
  const [there, back] = [join(folder, "there"), join(folder, "back")];
  await putFile(child, there, own);
  const { bytes: size } = await getFile(child, there, back);
  console.log(`there and back: ${readFileSync(back).equals(readFileSync(own)) && size === bytes.length}`);
  rmSync(folder, { recursive: true });

  // A child of the child. It is called like any other.
  const grandchild = await router.local({ via: child });
  const deeper = await grandchild.call(describeProcess);
  console.log(`three processes: ${new Set([process.pid, pid, deeper.pid]).size === 3}`);

  // One shutdown ends all of them. runWithRouter would do it as well.
  await router.shutdown();
  await Promise.all([child.disconnected, grandchild.disconnected]);
  console.log("all ended");
}

await runWithRouter(main);
