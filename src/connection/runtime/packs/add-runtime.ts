import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { createWriteStream, statSync } from "node:fs";
import { mkdir, mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable, Transform } from "node:stream";
import { pipeline } from "node:stream/promises";
import { promisify } from "node:util";
import { ProvisionFailure } from "../plan.ts";
import { executableIn } from "./choose.ts";
import { runtimeStore, type StoredRuntime } from "./store.ts";

/** `linux-arm64`, `linux-x64-musl@24`, `linux-x64@22.12.0`. */
const SYSTEM = /^(linux-[a-z0-9_]+?)(-musl)?(?:@v?(\d+(?:\.\d+){0,2}))?$/;
const ARCHIVE = /\.(?:tar\.gz|tgz|tar\.xz|tar)$/;
const DEFAULT_VERSION = "22";
const OFFICIAL = "https://nodejs.org/dist";
/** Also of Node's project: it has builds for musl. */
const UNOFFICIAL = "https://unofficial-builds.nodejs.org/download/release";
const MAX_DOWNLOAD_BYTES = 512 * 1024 * 1024;
const MAX_SUMS_BYTES = 1024 * 1024;
const UNPACK_MS = 120_000;

const runFile = promisify(execFile);

/** Packs the named source, after a download if it is a system. Returns what the store then has of it. */
export async function addToStore(source: string, mirror: string | undefined): Promise<StoredRuntime> {
  const [, system, musl = "", version = DEFAULT_VERSION] = SYSTEM.exec(source) ?? [];
  if (system === undefined) return await addFile(source);
  const folder = await mkdtemp(join(tmpdir(), "mitogen-runtime-"));
  try {
    return await addArchive(
      await fetchNode(system + musl, version, mirror ?? mirrorFor(musl), folder),
      folder,
    );
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function addFile(path: string): Promise<StoredRuntime> {
  if (statSync(path, { throwIfNoEntry: false })?.isFile() !== true || !ARCHIVE.test(path)) {
    return await runtimeStore.packed(
      executableIn(path, "check the path, or write a system such as linux-arm64@22"),
      true,
    );
  }
  const folder = await mkdtemp(join(tmpdir(), "mitogen-runtime-"));
  try {
    return await addArchive(path, folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Only the executable of a distribution is needed. */
async function addArchive(archive: string, folder: string): Promise<StoredRuntime> {
  const unpacked = join(folder, "unpacked");
  await mkdir(unpacked);
  try {
    await runFile("tar", ["-xf", archive, "-C", unpacked], { timeout: UNPACK_MS });
  } catch (cause) {
    throw failure(
      `${archive} could not be unpacked: ${(cause as Error).message}`,
      "check whether tar is installed, and xz for .tar.xz",
      cause,
    );
  }
  const [name] = await readdir(unpacked);
  return await runtimeStore.packed(executableIn(name === undefined ? unpacked : join(unpacked, name)), true);
}

function mirrorFor(musl: string): string {
  const { NODEJS_ORG_MIRROR, NVM_NODEJS_ORG_MIRROR } = process.env;
  return NODEJS_ORG_MIRROR || NVM_NODEJS_ORG_MIRROR || (musl === "" ? OFFICIAL : UNOFFICIAL);
}

/**
 * Downloads a distribution and compares it with its published sums. Returns the path of the archive.
 */
async function fetchNode(system: string, version: string, mirror: string, folder: string): Promise<string> {
  const base = mirror.endsWith("/") ? mirror.slice(0, -1) : mirror;
  const release = await findRelease(base, version);
  const sums = (await download(`${base}/${release}/SHASUMS256.txt`, MAX_SUMS_BYTES)).toString("latin1");
  const found = sums.split("\n").find((line) => line.endsWith(`-${system}.tar.gz`));
  const [wanted, file] = found?.split("  ") ?? [];
  // It becomes part of a path.
  if (wanted === undefined || file === undefined || /[^\w.-]/.test(file)) {
    throw failure(`${base}/${release} has no node for ${system}`, "name another version, or add a file");
  }
  const path = join(folder, file);
  const hash = createHash("sha256");
  await downloadTo(`${base}/${release}/${file}`, path, (chunk) => void hash.update(chunk));
  const sum = hash.digest("hex");
  if (sum === wanted) return path;
  throw failure(
    `${base}/${release}/${file} does not match its SHASUMS256.txt: its SHA-256 is ${sum}`,
    "try again, or check the mirror",
  );
}

async function findRelease(base: string, version: string): Promise<string> {
  const parts = version.split(".");
  if (parts.length === 3) return `v${version}`;
  const index = JSON.parse((await download(`${base}/index.json`, 16 * MAX_SUMS_BYTES)).toString("utf8")) as {
    version: string;
  }[];
  // The newest comes first.
  const found = index.find(({ version: each }) => each.startsWith(`v${version}.`));
  if (found === undefined) throw failure(`${base} has no node ${version}`, "name another version");
  return found.version;
}

async function download(url: string, maxBytes: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  await read(url, maxBytes, async (body) => {
    for await (const chunk of body) chunks.push(chunk as Buffer);
  });
  return Buffer.concat(chunks);
}

async function downloadTo(url: string, path: string, onChunk: (chunk: Buffer) => void): Promise<void> {
  await read(url, MAX_DOWNLOAD_BYTES, (body) => {
    body.on("data", onChunk);
    return pipeline(body, createWriteStream(path));
  });
}

async function read(url: string, maxBytes: number, take: (body: Readable) => Promise<void>): Promise<void> {
  try {
    const response = await fetch(url);
    if (!response.ok || response.body === null) throw new Error(`HTTP status ${response.status}`);
    let bytes = 0;
    const bounded = new Transform({
      transform(chunk: Buffer, _encoding, done) {
        bytes += chunk.length;
        if (bytes > maxBytes) done(new Error(`it has more than ${maxBytes} bytes`));
        else done(null, chunk);
      },
    });
    const body = Readable.fromWeb(response.body as Parameters<typeof Readable.fromWeb>[0]);
    await Promise.all([pipeline(body, bounded), take(bounded)]);
  } catch (cause) {
    const { message, cause: inner } = cause as Error & { cause?: Error };
    throw failure(
      `${url} could not be downloaded: ${inner?.message ?? message}`,
      "set NODEJS_ORG_MIRROR to a mirror that can be reached, or add a file",
      cause,
    );
  }
}

function failure(message: string, hint: string, cause?: unknown): ProvisionFailure {
  return Object.assign(
    new ProvisionFailure("ERR_NO_RUNTIME", message, hint),
    cause === undefined ? {} : { cause },
  );
}
