import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough, Readable } from "node:stream";
import { after, before, describe, it } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { OpenedFile } from "../../src/files/ends/source.ts";
import { type Context, getFile, putFile, Router, TimeoutError } from "../../src/index.ts";
import { nodes, skipReason } from "../support/lab.ts";
import { checkLeaks } from "../support/leak-check.ts";
import { placesOn } from "../support/places.ts";

checkLeaks({ ignoreCommand: /esbuild/ });

const MIB = 1024 * 1024;
const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

type Failure = Error & { code: string; path?: string; side?: string };
const failureOf = (promise: Promise<unknown>): Promise<Failure> =>
  promise.then(
    () => assert.fail("it did not reject"),
    (error) => error as Failure,
  );

let folder = "";
before(() => {
  folder = fs.mkdtempSync(join(tmpdir(), "mitogen-files-"));
});
after(() => fs.rmSync(folder, { recursive: true }));

const at = (name: string): string => join(folder, name);
/** A file of that many random bytes. */
function made(name: string, size: number): { path: string; bytes: Buffer } {
  const bytes = randomBytes(size);
  fs.writeFileSync(at(name), bytes);
  return { path: at(name), bytes };
}
const partsOf = (name: string): string[] =>
  fs.readdirSync(folder).filter((each) => each.startsWith(`.${name}.mitogen-`));
const places = placesOn([12, 20, 26]);

for (const [place, connect] of places) {
  describe(`files of ${place}`, { skip: skipReason(), concurrency: false }, () => {
    let router: Router;
    let context: Context;
    before(async () => {
      router = new Router();
      context = await connect(router);
    });
    after(() => router.shutdown());

    it("are copied both ways, with hash, mode and time, and leave nothing else", async () => {
      const { path, bytes } = made("original", 3 * MIB + 17);
      fs.chmodSync(path, 0o640);
      fs.utimesSync(path, 1000, 2000.5);
      const seen: number[] = [];
      const put = await putFile(context, at("put"), path, {
        onProgress: (progress) => {
          assert.equal(progress.totalBytes, bytes.length);
          seen.push(progress.bytes);
        },
      });
      assert.deepEqual(put, { bytes: bytes.length, sha256: sha256(bytes), resumedAt: 0 });
      assert.deepEqual([seen[0], seen.at(-1)], [0, bytes.length]);
      assert.ok(seen.length > 5, "progress is reported on the way");
      assert.deepEqual(await getFile(context, at("put"), at("got")), put);
      for (const name of ["put", "got"]) {
        assert.equal(sha256(fs.readFileSync(at(name))), sha256(bytes));
        const { mode, mtimeMs } = fs.statSync(at(name));
        assert.deepEqual([mode & 0o7777, Math.round(mtimeMs)], [0o640, 2000500]);
        assert.deepEqual(partsOf(name), []);
      }
    });
    it("may be empty, or in /proc, which does not tell their length", async () => {
      fs.writeFileSync(at("empty"), "");
      assert.equal((await getFile(context, at("empty"), at("empty2"))).bytes, 0);
      assert.equal((await putFile(context, at("empty3"), at("empty"))).bytes, 0);
      assert.equal(fs.statSync(at("empty2")).size + fs.statSync(at("empty3")).size, 0);
      assert.ok((await getFile(context, "/proc/self/status", at("status"))).bytes > 100);
    });
    it("may come from streams, bytes and iterables, and go to streams", async () => {
      const bytes = randomBytes(MIB);
      await putFile(context, at("bytes"), bytes, { mode: 0o600 });
      assert.equal(fs.statSync(at("bytes")).mode & 0o777, 0o600);
      assert.equal((await putFile(context, at("stream"), Readable.from([bytes, "text"]))).bytes, MIB + 4);
      const lines = (async function* () {
        yield "one\n";
        yield "two\n";
      })();
      await putFile(context, at("lines"), lines);
      assert.equal(fs.readFileSync(at("lines"), "utf8"), "one\ntwo\n");
      const stream = new PassThrough();
      const [text] = await Promise.all([stream.toArray(), getFile(context, at("stream"), stream)]);
      assert.equal(
        sha256(Buffer.concat(text as Buffer[])),
        sha256(Buffer.concat([bytes, Buffer.from("text")])),
      );
    });
    it("replace what is there, even a link, and are read through links", async () => {
      const { path } = made("target", 100);
      fs.rmSync(at("link"), { force: true });
      fs.symlinkSync(path, at("link"));
      await putFile(context, at("link"), Buffer.from("new"));
      assert.equal(fs.lstatSync(at("link")).isSymbolicLink(), false);
      assert.equal(fs.statSync(path).size, 100);
      fs.rmSync(at("link"));
      fs.symlinkSync(path, at("link"));
      assert.equal((await getFile(context, at("link"), at("got"))).bytes, 100);
    });
    it("fail with code, path and side", async () => {
      const { path } = made("original", 10);
      const cases: [() => Promise<unknown>, string, string, string][] = [
        [() => getFile(context, at("missing"), at("x")), "ENOENT", at("missing"), "source"],
        [() => getFile(context, path, at("no/x")), "ENOENT", at("no/x"), "sink"],
        [() => putFile(context, at("no/x"), path), "ENOENT", at("no/x"), "sink"],
        [() => putFile(context, at("x"), at("missing")), "ENOENT", at("missing"), "source"],
        [() => getFile(context, folder, at("x")), "EISDIR", folder, "source"],
        [() => getFile(context, path, folder), "EISDIR", folder, "sink"],
        [() => putFile(context, folder, path), "EISDIR", folder, "sink"],
        [() => getFile(context, "/dev/zero", at("x")), "ERR_FILE_TYPE", "/dev/zero", "source"],
      ];
      for (const [transfer, ...expected] of cases) {
        const { code, path: where, side, message } = await failureOf(transfer());
        assert.deepEqual([code, where, side], expected, message);
        assert.match(message, /Cannot (open|read|write) \//);
      }
      assert.deepEqual(
        fs.readdirSync(folder).filter((name) => name === "x" || name.startsWith(".")),
        [],
      );
      await assert.rejects(getFile(context, "", at("x")), TypeError);
    });
    it("go on where an interrupted transfer stopped, unless the source has changed", async () => {
      const { path, bytes } = made("long", 4 * MIB);
      fs.rmSync(at("resumed"), { force: true });
      const stop = new AbortController();
      const options = {
        signal: stop.signal,
        onProgress: ({ bytes: done }: { bytes: number }) => {
          if (done > 2 * MIB) stop.abort(new RangeError("enough"));
        },
      };
      await assert.rejects(getFile(context, path, at("resumed"), options), RangeError);
      assert.equal(fs.existsSync(at("resumed")), false);
      assert.equal(partsOf("resumed").length, 1);
      const transfer = await getFile(context, path, at("resumed"));
      assert.ok(transfer.resumedAt > MIB, `resumed at ${transfer.resumedAt}`);
      assert.equal(transfer.sha256, sha256(bytes));
      assert.equal(sha256(fs.readFileSync(at("resumed"))), sha256(bytes));

      const stopAgain = new AbortController();
      await assert.rejects(
        getFile(context, path, at("resumed"), {
          signal: stopAgain.signal,
          onProgress: ({ bytes: done }) => done > MIB && stopAgain.abort(new RangeError("enough")),
        }),
        RangeError,
      );
      const changed = made("long", 4 * MIB);
      const again = await getFile(context, path, at("resumed"));
      assert.deepEqual(again, { bytes: 4 * MIB, sha256: sha256(changed.bytes), resumedAt: 0 });
      assert.deepEqual(partsOf("resumed"), []);
    });
    it("are given up at both ends when the source fails and at the timeout", async () => {
      const failing = (async function* () {
        yield randomBytes(MIB);
        throw new RangeError("the source failed");
      })();
      await assert.rejects(putFile(context, at("given-up"), failing, { resume: false }), /the source failed/);
      const silent = new PassThrough();
      silent.write(randomBytes(1000));
      const options = { timeoutMs: 1500, resume: false };
      await assert.rejects(putFile(context, at("given-up"), silent, options), TimeoutError);
      // This transfer is served after the others, so both ends have let go of them.
      await putFile(context, at("behind"), Buffer.from("x"));
      const isClean = (): boolean => partsOf("given-up").length === 0 && !fs.existsSync(at("given-up"));
      const deadline = Date.now() + 10_000;
      while (!isClean() && Date.now() < deadline) await pause(20);
      assert.deepEqual(partsOf("given-up"), []);
      assert.equal(silent.destroyed, true);
      await assert.rejects(
        getFile(context, at("behind"), at("x"), { signal: AbortSignal.abort(new RangeError("no")) }),
        RangeError,
      );
    });
    it("may be copied many at once", async () => {
      const files = Array.from({ length: 20 }, (_, index) => made(`many${index}`, 200_000 + index));
      await Promise.all(files.map(({ path }, index) => putFile(context, at(`copy${index}`), path)));
      await Promise.all(files.map((_, index) => getFile(context, at(`copy${index}`), at(`back${index}`))));
      for (const [index, { bytes }] of files.entries()) {
        assert.equal(sha256(fs.readFileSync(at(`back${index}`))), sha256(bytes));
      }
      // All write to the same name at once: one of them wins, and is whole.
      await Promise.all(files.map(({ path }) => putFile(context, at("contested"), path)));
      const winner = sha256(fs.readFileSync(at("contested")));
      assert.ok(files.some(({ bytes }) => sha256(bytes) === winner));
      assert.deepEqual(partsOf("contested"), []);
    });
  });
}

describe("files", { skip: skipReason() }, () => {
  it("that the target's account may not read or write fail with EACCES on the target's side", async () => {
    await using router = new Router();
    fs.mkdirSync(at("private"), { mode: 0o700 });
    fs.writeFileSync(at("private/file"), "x");
    const context = await router.su({ username: "mitogen-target", nodePath: nodes[20] ?? "" });
    const { path } = made("original", 10);
    const read = await failureOf(getFile(context, at("private/file"), at("x")));
    assert.deepEqual([read.code, read.path, read.side], ["EACCES", at("private/file"), "source"]);
    const written = await failureOf(putFile(context, at("private/new"), path));
    assert.deepEqual([written.code, written.path, written.side], ["EACCES", at("private/new"), "sink"]);
  });
  it("that do not fit on the disk fail with ENOSPC, and leave nothing there", async () => {
    await using router = new Router();
    const context = await router.local({ nodePath: nodes[20] ?? "" });
    fs.mkdirSync(at("full"));
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=1m", "mitogen-test", at("full")]);
    try {
      const { path } = made("original", 3 * MIB);
      for (const transfer of [
        () => putFile(context, at("full/f"), path),
        () => getFile(context, path, at("full/f")),
      ]) {
        const { code, side } = await failureOf(transfer());
        assert.deepEqual([code, side], ["ENOSPC", "sink"]);
        assert.deepEqual(fs.readdirSync(at("full")), []);
      }
    } finally {
      execFileSync("umount", [at("full")]);
    }
  });
  it("are not written through a link that somebody else has put in the way", async () => {
    await using router = new Router();
    const context = await router.local();
    const { path } = made("original", MIB);
    await assert.rejects(putFile(context, at("trap"), failingAfter(MIB)));
    const [part = ""] = partsOf("trap");
    assert.notEqual(part, "");
    fs.writeFileSync(at("victim"), "untouched");
    fs.rmSync(at(part));
    fs.symlinkSync(at("victim"), at(part));
    await putFile(context, at("trap"), path);
    assert.equal(fs.readFileSync(at("victim"), "utf8"), "untouched");
    assert.equal(fs.statSync(at("trap")).size, MIB);
  });
  it("that arrive with fewer bytes than announced are refused", async () => {
    await using router = new Router();
    const context = await router.local();
    const { path } = made("original", MIB);
    const { chunks } = OpenedFile.prototype;
    OpenedFile.prototype.chunks = async function* (from) {
      for await (const chunk of chunks.call(this, from)) {
        yield chunk;
        // Ends after one chunk, as if the file had become shorter than announced.
        return;
      }
    };
    try {
      const { code, side } = await failureOf(putFile(context, at("cut"), path));
      assert.deepEqual([code, side], ["ERR_FILE_DIGEST", "sink"]);
    } finally {
      OpenedFile.prototype.chunks = chunks;
    }
    assert.equal(fs.existsSync(at("cut")), false);
    assert.deepEqual(partsOf("cut"), []);
  });
});

async function* failingAfter(bytes: number): AsyncIterable<Uint8Array> {
  yield randomBytes(bytes);
  throw new Error("the source failed");
}
