import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { after, before, describe, it } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import {
  type Context,
  type Fetched,
  FileService,
  Pool,
  PushFileService,
  Receiver,
  Router,
  type ServedMetadata,
  TimeoutError,
} from "../../src/index.ts";
import * as remote from "../fixtures/remote/files.ts";
import { collectLogs } from "../support/collect-logs.ts";
import { targetsOf } from "../support/extent.ts";
import { nodes, skipReason } from "../support/lab.ts";
import { checkLeaks } from "../support/leak-check.ts";

checkLeaks({ ignoreCommand: /esbuild/ });

const MIB = 1024 * 1024;
const sha256 = (path: string): string => createHash("sha256").update(fs.readFileSync(path)).digest("hex");

let folder = "";
before(() => {
  folder = fs.realpathSync(fs.mkdtempSync(join(tmpdir(), "mitogen-file-services-")));
  fs.mkdirSync(join(folder, "open/deep"), { recursive: true });
});
after(() => fs.rmSync(folder, { recursive: true }));
const at = (name: string): string => join(folder, name);

for (const major of targetsOf([12, 20, 26])) {
  const node = { nodePath: nodes[major] ?? "" };

  describe(`FileService, asked by Node ${major}`, { skip: skipReason(), concurrency: false }, () => {
    let router: Router;
    let child: Context;
    let leaf: Context;
    let files: FileService;
    let program: Context;
    before(async () => {
      router = new Router();
      files = new FileService(router);
      new Pool(router, [files]);
      child = await router.local(node);
      leaf = await router.local({ ...node, via: child });
      program = router.myself();
    });
    after(() => router.shutdown());

    it("serves what is registered, with metadata, to children and grandchildren", async () => {
      const path = at("registered");
      fs.writeFileSync(path, randomBytes(2 * MIB + 5), { mode: 0o640 });
      fs.chownSync(path, 1, 2);
      await files.register({ path });
      for (const context of [child, leaf]) {
        const { ok, metadata } = (await context.call(remote.fetchFrom, program, path, at("got"))) as Fetched;
        assert.equal(ok, true);
        const { mtimeMs, atimeMs: _, ...stats } = fs.statSync(path);
        const { size, mode, uid, gid, owner, group } = metadata;
        assert.deepEqual([size, mode, uid, gid], [stats.size, 0o640, 1, 2]);
        // Accounts that every Debian has, other than root.
        assert.deepEqual([owner, group], ["daemon", "bin"]);
        assert.equal(metadata.mtimeMs, mtimeMs);
        assert.equal(sha256(at("got")), sha256(path));
      }
    });
    it("serves what is below a registered folder, and nothing that leads out of it", async () => {
      fs.writeFileSync(at("secret"), "secret");
      fs.writeFileSync(at("open/deep/file"), "inside");
      fs.rmSync(at("open/link"), { force: true });
      fs.symlinkSync(at("secret"), at("open/link"));
      fs.mkdirSync(at("open-not"), { recursive: true });
      fs.writeFileSync(at("open-not/file"), "beside");
      await files.registerPrefix({ path: at("open") });
      const inside = (await child.call(
        remote.fetchFrom,
        program,
        at("open/deep/file"),
        at("got"),
      )) as Fetched;
      assert.equal(inside.ok, true);
      const escapes = ["open/../secret", "open/link", "open-not/file", "secret", "missing", "open/missing"];
      for (const name of escapes) {
        const outcome = await child.call(remote.fetchFrom, program, `${folder}/${name}`, at("got"));
        assert.equal((outcome as string[])[0], "ERR_FILE_REFUSED", name);
      }
    });
    it("refuses senders of other contexts, registrations by children, and what is not a file", async () => {
      fs.writeFileSync(at("open/file"), "x");
      await files.registerPrefix({ path: at("open") });
      assert.equal(await child.call(remote.fetchFor, program, at("open/file"), leaf), "ERR_FILE_REFUSED");
      assert.equal(await child.call(remote.registerAt, program, "/etc"), "ERR_SERVICE_POLICY");
      const [code] = (await child.call(remote.fetchFrom, program, at("open/deep"), at("got"))) as string[];
      assert.equal(code, "EISDIR");
    });
    it("starts in a child on request: it gives its parent any file, and those below only registered ones", async () => {
      fs.writeFileSync(at("any"), "any");
      fs.writeFileSync(at("registered there"), "x");
      await child.service(FileService).register({ path: at("registered there") });
      const { ok: isServed } = (await leaf.call(
        remote.fetchFrom,
        child,
        at("registered there"),
        at("got"),
      )) as Fetched;
      assert.equal(isServed, true);
      const refused = await leaf.call(remote.fetchFrom, child, at("any"), at("got"));
      assert.equal((refused as string[])[0], "ERR_FILE_REFUSED");
      const stream = new PassThrough();
      const [chunks, { ok }] = await Promise.all([
        stream.toArray(),
        FileService.get(child, at("any"), stream),
      ]);
      assert.deepEqual([ok, Buffer.concat(chunks as Buffer[]).toString()], [true, "any"]);
    });
  });

  describe(`PushFileService, with Node ${major}`, { skip: skipReason() }, () => {
    it("pushes a file to two grandchildren behind one context", async () => {
      await using router = new Router();
      const middle = await router.local(node);
      const leaves = await Promise.all([1, 2].map(() => router.local({ ...node, via: middle })));
      fs.writeFileSync(at("pushed"), "from the disk");
      const push = new PushFileService(router);
      const early = leaves.map((leaf) => leaf.call(remote.pushedText, at("pushed")));
      await Promise.all(leaves.map((leaf) => push.propagateTo(leaf, at("pushed"))));
      assert.deepEqual(await Promise.all(early), ["from the disk", "from the disk"]);
      assert.equal(await middle.call(remote.pushedText, at("pushed")), "from the disk");
      await push.propagateTo(leaves[0] as Context, at("pushed"), "replaced");
      assert.equal(await leaves[0]?.call(remote.pushedText, at("pushed")), "replaced");
      assert.equal((await push.get(at("pushed"))).toString(), "replaced");
      await assert.rejects(push.get("/never", { timeoutMs: 20 }), TimeoutError);
    });
    it("sends a file over each link once", async () => {
      await using router = new Router();
      const middle = await router.local(node);
      const leaves = await Promise.all([1, 2, 3].map(() => router.local({ ...node, via: middle })));
      const bytes = randomBytes(MIB);
      const push = new PushFileService(router);
      // Starts the service there, so that this is not counted.
      await Promise.all(leaves.map((leaf) => push.propagateTo(leaf, "/small", "x")));
      let sent = 0;
      const { routeFrame } = router;
      router.routeFrame = (frame) => {
        for (const { length } of frame.body) sent += length;
        routeFrame.call(router, frame);
      };
      await Promise.all(leaves.map((leaf) => push.propagateTo(leaf, "/large", bytes)));
      assert.ok(sent < 1.5 * MIB, `${sent} bytes were sent`);
    });
  });
}

describe("FileService", { skip: skipReason() }, () => {
  it("ends transfers when its pool stops, and reports and logs that fewer bytes came than announced", async () => {
    const logs = collectLogs();
    try {
      await using router = new Router();
      const files = new FileService(router);
      const pool = new Pool(router, [files]);
      fs.closeSync(fs.openSync(at("long"), "w"));
      fs.truncateSync(at("long"), 32 * MIB);
      await files.register({ path: at("long") });
      const child = await router.local({ nodePath: nodes[20] ?? "" });
      const call = child.call(remote.fetchFrom, router.myself(), at("long"), at("short"));
      while (!fs.readdirSync(folder).some((name) => name.startsWith(".short."))) await pause(1);
      await pool.stop();
      const { ok } = (await call) as Fetched;
      assert.equal(ok, false);
      assert.equal(fs.existsSync(at("short")), false);
      const errors = logs.records.filter(({ level }) => level === "error").map(({ message }) => message);
      assert.match(errors.join("\n"), /bytes came, 33554432 were announced/);
    } finally {
      logs.stop();
    }
  });
  it("answers a plain service call with metadata, then sends the bytes, then the end", async () => {
    await using router = new Router();
    const child = await router.local();
    await child.service(FileService).register({ path: process.execPath });
    const receiver = new Receiver<Uint8Array>(router, { respondent: child });
    const sender = receiver.toSender();
    const metadata = await child.callService("mitogen.FileService", "fetch", {
      path: process.execPath,
      sender,
    });
    let bytes = 0;
    for await (const message of receiver) bytes += message.decode().length;
    assert.equal(bytes, (metadata as ServedMetadata).size);
    receiver.close();
  });
});
