import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import {
  type CopiedFile,
  type TransferSpec,
  transferWork,
} from "../../../src/cli/transfers/transfer-work.ts";
import type { Host } from "../../../src/fleet/index.ts";
import { type Context, Router } from "../../../src/index.ts";

describe("transferWork", () => {
  const router = new Router();
  let context: Context;
  let folder: string;
  const host = { name: "../web1" } as Host;

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), "transfers-"));
    context = await router.local();
    for (const [name, text] of [
      ["a", "a".repeat(700_000)],
      ["b", "b"],
    ] as const) {
      writeFileSync(join(folder, name), text, { mode: 0o600 });
    }
  });
  after(async () => {
    await router.shutdown();
    rmSync(folder, { recursive: true });
  });

  /** Does the work. Returns its result and its progress events. */
  async function work(spec: TransferSpec, signal: AbortSignal = new AbortController().signal) {
    const events: object[] = [];
    const result = await transferWork(spec)(context, host, {
      signal,
      emit: (event) => void events.push(event),
    });
    return { result, events };
  }

  it("puts files into a folder, with their progress", async () => {
    mkdirSync(join(folder, "there"));
    const sources = [join(folder, "a"), join(folder, "b")];
    const { result, events } = await work({
      ...{ kind: "put", sources, destination: `${folder}/there/` },
      ...{ mode: 0o640, times: true },
    });
    const [a, b] = result as readonly CopiedFile[];
    assert.deepEqual(
      [a?.path, a?.bytes, b?.path, b?.bytes],
      [`${folder}/there/a`, 700_000, `${folder}/there/b`, 1],
    );
    assert.match(a?.sha256 ?? "", /^[0-9a-f]{64}$/);
    const { mode, mtimeMs } = statSync(`${folder}/there/a`);
    assert.equal(mode & 0o777, 0o640);
    assert.equal(Math.round(mtimeMs / 1000), Math.round(statSync(join(folder, "a")).mtimeMs / 1000));
    assert.ok(events.length >= 2);
    assert.deepEqual(events.at(-1), { type: "progress", bytes: 1, totalBytes: 1 });
  });

  it("puts one file under a name", async () => {
    const destination = join(folder, "renamed");
    const sources = [join(folder, "b")];
    await work({ kind: "put", sources, destination, mode: undefined, times: false });
    assert.equal(readFileSync(destination, "utf8"), "b");
  });

  it("gets files into a folder for each host, whose name leads nowhere else", async () => {
    const destination = join(folder, "logs");
    const sources = [join(folder, "a"), join(folder, "b")];
    const { result } = await work({ kind: "get", sources, destination, times: false });
    const paths = (result as readonly CopiedFile[]).map(({ path }) => path);
    assert.deepEqual(paths, [join(destination, "%2e.%2fweb1/a"), join(destination, "%2e.%2fweb1/b")]);
    assert.equal(readFileSync(paths[1] as string, "utf8"), "b");
  });

  it("syncs a folder by rsync, and says how rsync failed", async () => {
    const destination = join(folder, "synced");
    const source = `${folder}/there/`;
    await work({ kind: "sync", source, destination, rsyncArgs: ["--exclude=a"] });
    assert.equal(readFileSync(join(destination, "b"), "utf8"), "b");
    assert.throws(() => statSync(join(destination, "a")), { code: "ENOENT" });
    await assert.rejects(work({ kind: "sync", source: join(folder, "none"), destination, rsyncArgs: [] }), {
      message: /^Cannot sync \.\.\/web1: rsync ended with exit code 23: .*none.*No such file/s,
    });
  });

  it("ends when its signal aborts", async () => {
    const signal = AbortSignal.abort(new Error("given up"));
    const destination = join(folder, "never");
    const sources = [join(folder, "b")];
    await assert.rejects(work({ kind: "put", sources, destination, mode: undefined, times: false }, signal), {
      message: "given up",
    });
    const sync = work({ kind: "sync", source: `${folder}/there/`, destination, rsyncArgs: [] }, signal);
    await assert.rejects(sync, { message: "given up" });
    assert.throws(() => statSync(destination), { code: "ENOENT" });
  });
});
