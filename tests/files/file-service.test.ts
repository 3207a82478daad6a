import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readlinkSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { type TestContext, test } from "node:test";
import { deadReason } from "../../src/core/message.ts";
import { Receiver } from "../../src/core/receiver.ts";
import type { Sender } from "../../src/core/sender.ts";
import { ChannelError, ProtocolError } from "../../src/errors.ts";
import { FileService } from "../../src/files/file-service.ts";
import { MAX_TRANSFERS_PER_CONTEXT } from "../../src/files/transfer-turns.ts";
import { AllowAny } from "../../src/service/exposed.ts";
import { Pool } from "../../src/service/pool.ts";
import { type Exposed, Service } from "../../src/service/service.ts";
import { captureLogs, printed } from "../support/fake-log-sink.ts";
import { connect, FakeRouter } from "../support/fake-tree.ts";
import { servicePair } from "../support/service-pair.ts";

const metadata = { size: 4, mode: 0o644, uid: 0, gid: 0, owner: null, group: null, mtimeMs: 0, atimeMs: 0 };

/** Fetches from a service that answers `answer`, sends these chunks, and closes. */
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

test("FileService.get is ok only if exactly the announced bytes came", async (t) => {
  const records = captureLogs(t, "warning");
  const folder = folderOf(t);
  const cases: [chunks: unknown[], ok: boolean, count: number][] = [
    [[Buffer.from("ab"), Buffer.from("cd")], true, 4],
    [[Buffer.from("abc")], false, 3],
    [[], false, 0],
    [[Buffer.from("ab"), Buffer.from("cde"), Buffer.from("f")], false, 5],
    // A value that is no chunk ends the transfer.
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

test("FileService.get writes to a stream, and destroys it if bytes are missing", async (t) => {
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
      assert.equal(error.message, "Cannot fetch /srv/file from child.1: its answer is malformed");
      return true;
    });
  }
});

test("FileService.get rejects at once if the context lacks the service, or is gone", async () => {
  const { master, wire } = servicePair();
  const get = () => FileService.get(master.contextById(1), "/srv/file", new PassThrough());
  await assert.rejects(get(), { name: "ChannelError", message: /no such handle/ });
  wire.cut("gone");
  await assert.rejects(get(), ChannelError);
});

/** A master that serves one file of 3 MiB: more than it sends to a reader that does not read. */
async function serving(t: TestContext, stallMs?: number) {
  const folder = folderOf(t);
  const path = join(folder, "big");
  writeFileSync(path, Buffer.alloc(3 << 20));
  const { master, child } = servicePair();
  const files = new FileService(master, { stallMs });
  const pool = new Pool(master, [files]);
  t.after(() => pool.stop());
  await files.register({ path });
  const openCount = (): number =>
    readdirSync("/proc/self/fd").filter((fd) => {
      try {
        return readlinkSync(`/proc/self/fd/${fd}`) === path;
      } catch {
        return false; // the descriptor that lists this folder
      }
    }).length;
  /** Requests the file, and never reads it. */
  const ask = (router: FakeRouter) => {
    const receiver = new Receiver<Uint8Array>(router, { respondent: router.contextById(0) });
    const answer = router
      .contextById(0)
      .callService(FileService.serviceName, "fetch", { path, sender: receiver.toSender() });
    answer.catch(() => undefined);
    return { receiver, answer };
  };
  return { path, folder, master, child, openCount, ask };
}

test("FileService opens at most eight files for a context that does not read, and serves other contexts", async (t) => {
  const { path, folder, master, child, openCount, ask } = await serving(t);
  const asked = [...Array(100).keys()].map(() => ask(child));
  await Promise.all(asked.slice(0, MAX_TRANSFERS_PER_CONTEXT).map(({ answer }) => answer));
  const other = new FakeRouter({ contextId: 2, parentIds: [0] });
  other.functions = child.functions;
  connect(master, other);
  const { ok } = await FileService.get(other.contextById(0), path, join(folder, "copy"));
  assert.equal(ok, true);
  assert.equal(openCount(), MAX_TRANSFERS_PER_CONTEXT);
  // The waiting requests have their turn when these transfers end.
  for (const { receiver } of asked) receiver.close();
  await Promise.all(asked.map(({ answer }) => answer));
});

test("FileService ends a transfer whose reader takes nothing for stallMs", async (t) => {
  const records = captureLogs(t, "error");
  const { child, ask } = await serving(t, 20);
  const { receiver, answer } = ask(child);
  await answer;
  const told = (): string | undefined => printed(records).find((line) => line.includes("taken nothing"));
  while (told() === undefined) await new Promise((resolve) => setTimeout(resolve, 5));
  // The bytes that were sent arrive, and after them the dead message with the reason.
  let bytes = 0;
  let message = await receiver.get();
  while (!message.isDead) {
    bytes += message.decode().length;
    message = await receiver.get({ throwDead: false });
  }
  assert.ok(bytes < 3 << 20, `${bytes} bytes`);
  assert.equal(deadReason(message), "context 1 has taken nothing for 20 ms");
  assert.match(
    told() ?? "",
    /^error: Cannot send .*big to context 1: context 1 has taken nothing for 20 ms$/,
  );
});

test("FileService refuses a stallMs that is not a positive number", () => {
  const { master } = servicePair();
  for (const stallMs of [0, -1, Number.NaN]) {
    assert.throws(() => new FileService(master, { stallMs }), RangeError);
  }
});
