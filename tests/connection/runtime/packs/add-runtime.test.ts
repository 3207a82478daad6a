import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { addRuntime, clearRuntimes, listRuntimes, StreamError } from "../../../../src/index.ts";
import { nodes } from "../../../support/lab.ts";

const folder = mkdtempSync(join(tmpdir(), "mitogen-add-"));
const cacheBefore = process.env.XDG_CACHE_HOME;
/** An executable that serves as well as a node here, and is a thousandth of its size. */
const SMALL = "/bin/sh";
const name = `node-v22.1.0-linux-${process.arch}`;
const archive = join(folder, `${name}.tar.gz`);
const skip = process.platform !== "linux" && "packs are of Linux";

/** The files of Node's site that the tests ask for. */
const files = new Map<string, Buffer | string>();
const server = createServer((request, response) => {
  const file = files.get(request.url ?? "");
  response.statusCode = file === undefined ? 404 : 200;
  response.end(file);
});
let mirror: string;

before(async () => {
  process.env.XDG_CACHE_HOME = join(folder, "cache");
  mkdirSync(process.env.XDG_CACHE_HOME);
  mkdirSync(join(folder, name, "bin"), { recursive: true });
  copyFileSync(SMALL, join(folder, name, "bin/node"));
  execFileSync("tar", ["-C", folder, "-czf", archive, name]);
  const bytes = readFileSync(archive);
  const sum = createHash("sha256").update(bytes).digest("hex");
  files.set(
    "/dist/index.json",
    JSON.stringify([{ version: "v24.0.0" }, { version: "v22.1.0" }, { version: "v22.0.0" }]),
  );
  files.set(
    "/dist/v22.1.0/SHASUMS256.txt",
    `${"0".repeat(64)}  node-v22.1.0.tar.gz\n${sum}  ${name}.tar.gz\n`,
  );
  files.set(`/dist/v22.1.0/${name}.tar.gz`, bytes);
  files.set("/dist/v22.0.0/SHASUMS256.txt", `${"0".repeat(64)}  ${name.replace("22.1", "22.0")}.tar.gz\n`);
  files.set(`/dist/v22.0.0/${name.replace("22.1", "22.0")}.tar.gz`, "something else");
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  mirror = `http://127.0.0.1:${(server.address() as AddressInfo).port}/dist/`;
});
after(() => {
  server.close();
  server.closeAllConnections();
  if (cacheBefore === undefined) delete process.env.XDG_CACHE_HOME;
  else process.env.XDG_CACHE_HOME = cacheBefore;
  rmSync(folder, { recursive: true });
});

// Without a small node, only tests/connection/runtime/targets/provisioner-paths packs one: the program's own.
const node = nodes[12];
test("addRuntime takes a node with its libraries", {
  skip: skip || (node === undefined && "Needs the lab's small node"),
}, async () => {
  const added = await addRuntime(node as string);
  assert.deepEqual(
    [added.platform, added.arch, added.isAdded, added.hasLibraries],
    ["linux", process.arch, true, true],
  );
  assert.deepEqual(await listRuntimes(), [added]);
  assert.equal(await clearRuntimes(added.hash), 1);
  assert.deepEqual(await listRuntimes(), []);
});

test("addRuntime takes a file, a folder, an archive or a system, and each gives the same runtime", {
  skip,
}, async () => {
  const added = await addRuntime(SMALL);
  for (const source of [join(folder, name), archive])
    assert.equal((await addRuntime(source)).hash, added.hash, source);
  for (const system of [
    `linux-${process.arch}`,
    `linux-${process.arch}@22`,
    `linux-${process.arch}@v22.1.0`,
  ]) {
    assert.equal((await addRuntime(system, { mirror })).hash, added.hash, system);
  }
  process.env.NODEJS_ORG_MIRROR = mirror;
  try {
    assert.equal((await addRuntime(`linux-${process.arch}@22`)).hash, added.hash);
  } finally {
    delete process.env.NODEJS_ORG_MIRROR;
  }
  assert.equal((await listRuntimes()).length, 1);
  assert.equal(await clearRuntimes(added.hash), 1);
  assert.deepEqual(await listRuntimes(), []);
});

test("addRuntime says why it cannot add something", { skip }, async () => {
  for (const each of ["no.tar.gz", "script"]) writeFileSync(join(folder, each), "x");
  const cases: [source: string, message: RegExp][] = [
    [join(folder, "missing"), /there is no .*missing/],
    [folder, /has no bin\/node/],
    [join(folder, "script"), /is not a 64-bit executable/],
    [join(folder, "no.tar.gz"), /could not be unpacked/],
    ["linux-sparc@22", /has no node for linux-sparc/],
    ["linux-x64@9", /has no node 9/],
    ["linux-x64@22.9.9", /could not be downloaded: HTTP status 404/],
    [`linux-${process.arch}@22.0.0`, /does not match its SHASUMS256.txt/],
  ];
  for (const [source, message] of cases) {
    await assert.rejects(addRuntime(source, { mirror }), (error: unknown) => {
      assert.ok(error instanceof StreamError);
      assert.equal(error.code, "ERR_NO_RUNTIME");
      assert.match(error.message, message);
      return true;
    });
  }
  await assert.rejects(
    addRuntime("linux-x64", { mirror: "http://127.0.0.1:1/" }),
    /could not be downloaded.*NODEJS_ORG_MIRROR/,
  );
  await assert.rejects(addRuntime(1 as never), TypeError);
  await assert.rejects(addRuntime("x", { other: 1 } as never), TypeError);
  assert.deepEqual(await listRuntimes(), []);
});

test("addRuntime of something that is neither a file nor a system says what to write", async () => {
  await assert.rejects(addRuntime("linux-arm64@"), {
    name: "StreamError",
    code: "ERR_NO_RUNTIME",
    message:
      "Cannot add the runtime linux-arm64@: there is no linux-arm64@; check the path, or write a system such as linux-arm64@22",
  });
});
