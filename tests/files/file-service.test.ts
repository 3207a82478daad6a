import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { type TestContext, test } from "node:test";
import type { Sender } from "../../src/core/sender.ts";
import { ChannelError, ProtocolError } from "../../src/errors.ts";
import { FileService } from "../../src/files/file-service.ts";
import { AllowAny, type Exposed } from "../../src/service/exposed.ts";
import { Pool } from "../../src/service/pool.ts";
import { Service } from "../../src/service/service.ts";
import { captureLogs, printed } from "../support/fake-log-sink.ts";
import { servicePair } from "../support/service-pair.ts";

const metadata = { size: 4, mode: 0o644, uid: 0, gid: 0, owner: null, group: null, mtimeMs: 0, atimeMs: 0 };

/** Asks a service that answers `answer`, then sends these chunks, and closes. */
function asking(answer: unknown, chunks: readonly unknown[] = []) {
  class Liar extends Service {
    static override serviceName = FileService.serviceName;
    static override exposed: Record<string, Exposed> = { fetch: AllowAny };
    fetch({ sender }: { sender: Sender }): unknown {
      setImmediate(() => {
        for (const chunk of chunks) void sender.send(chunk).catch(() => undefined);
        sender.close();
      });
      return answer;
    }
  }
  const { master, child, wire } = servicePair();
  new Pool(child, [new Liar(child)]);
  return { master, wire, get: FileService.get.bind(FileService, master.contextById(1), "/srv/file") };
}

function folderOf(t: TestContext): string {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), "mitogen-file-service-")));
  t.after(() => rmSync(folder, { recursive: true }));
  return folder;
}

test("FileService.get is ok if all bytes came that were announced, and no more (SVC-16)", async (t) => {
  const records = captureLogs(t, "warning");
  const folder = folderOf(t);
  const cases: [chunks: unknown[], ok: boolean, count: number][] = [
    [[Buffer.from("ab"), Buffer.from("cd")], true, 4],
    [[Buffer.from("abc")], false, 3],
    [[], false, 0],
    [[Buffer.from("ab"), Buffer.from("cde"), Buffer.from("f")], false, 5],
    // What is no chunk is the end.
    [[Buffer.from("ab"), "cd"], false, 2],
  ];
  for (const [index, [chunks, ok, count]] of cases.entries()) {
    const { get } = asking(metadata, chunks);
    assert.deepEqual(await get(join(folder, `${index}`)), { ok, metadata });
    const last = printed(records).pop();
    if (ok) assert.equal(last, undefined);
    else {
      assert.equal(last, `error: Fetched /srv/file from child.1: ${count} bytes came, 4 were announced`);
    }
  }
  assert.deepEqual(readdirSync(folder), ["0"]);
});

test("FileService.get writes to a stream, which it destroys when bytes are missing", async (t) => {
  captureLogs(t, "error");
  const whole = new PassThrough();
  const { ok } = await asking(metadata, [Buffer.from("abcd")]).get(whole);
  assert.deepEqual([ok, String(whole.read())], [true, "abcd"]);
  const cut = new PassThrough();
  await asking(metadata, [Buffer.from("ab")]).get(cut);
  assert.equal(cut.destroyed, true);
});

test("FileService.get refuses an answer that is no metadata", async () => {
  for (const answer of [null, "yes", {}, { ...metadata, size: -1 }, { ...metadata, mode: "rwx" }]) {
    await assert.rejects(asking(answer).get(new PassThrough()), (error: Error) => {
      assert.ok(error instanceof ProtocolError);
      assert.equal(error.message, "Cannot fetch /srv/file from child.1: it answered with something else");
      return true;
    });
  }
});

test("FileService.get of a context without the service, or gone, does not wait (SVC-17)", async () => {
  const { master, wire } = servicePair();
  const get = () => FileService.get(master.contextById(1), "/srv/file", new PassThrough());
  await assert.rejects(get(), { name: "ChannelError", message: /no such handle/ });
  wire.cut("gone");
  await assert.rejects(get(), ChannelError);
});
