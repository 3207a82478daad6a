import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { after, before, describe, it, test } from "node:test";
import { fileURLToPath } from "node:url";
import { CoreRouter } from "../../../src/core/router.ts";
import { CallError, type Context, Router, ref, resource } from "../../../src/index.ts";
import { ResourceServer } from "../../../src/loader/serve/resources.ts";
import type { Peer } from "../../../src/routing/peer.ts";
import { decodeValue } from "../../../src/wire/cbor/decoder.ts";
import { encodeValue } from "../../../src/wire/cbor/encoder.ts";
import { Encoding, type Frame } from "../../../src/wire/frame.ts";
import { Handle } from "../../../src/wire/handles.ts";
import { type CollectedLogs, collectLogs } from "../../support/collect-logs.ts";
import { FakeBroker } from "../../support/fake-broker.ts";
import { FakeLink } from "../../support/fake-link.ts";
import { nodes, skipReason } from "../../support/lab.ts";
import { checkLeaks } from "../../support/leak-check.ts";
import { temporaryTree } from "../../support/temporary-tree.ts";

checkLeaks({ ignoreCommand: /esbuild/ });

const LARGEST = 16 * 1024 * 1024;
/** (module (func (export "add") (param i32 i32) (result i32) local.get 0 local.get 1 i32.add)) */
const ADD_WASM = "0061736d0100000001070160027f7f017f030201000707010361646400000a09010700200020016a0b";
const PEM = "-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n-----BEGIN PRIVATE KEY-----\nx\n";

const at = temporaryTree({
  "app/package.json": `{ "type": "module", "name": "app" }`,
  "app/motd.txt": "häl\nlo",
  "app/src/files.ts": `
    import { econtext, resource } from "mitogen";
    import { read as readInstalled } from "pkg";
    export const bytes = (path: string) => resource(import.meta, path);
    export const text = (path: string) => resource(import.meta, path, { encoding: "utf8" });
    export const installed = (path: string): Promise<string> => readInstalled(path);
    export async function together(path: string, count: number): Promise<number> {
      const all = await Promise.all(Array.from({ length: count }, () => resource(import.meta, path)));
      all[0].fill(0);
      return new Set(all).size + all.filter((each) => each.includes("beside")).length;
    }
    export async function flood(path: string, count: number): Promise<Record<string, number>> {
      const codes: Record<string, number> = {};
      await Promise.all(Array.from({ length: count }, (_, i) => resource(import.meta, path + i).catch((error) => {
        codes[error.code] = (codes[error.code] ?? 0) + 1;
      })));
      return codes;
    }
    export async function add(a: number, b: number): Promise<number> {
      const { instance } = await WebAssembly.instantiate(await resource(import.meta, "./add.wasm"));
      return (instance.exports.add as any)(a, b);
    }
    export const misuse = (owner: any, path: any) => resource(owner, path).then(() => "", (error) => error.message);
    export const size = async (path: string) => (await resource(import.meta, path)).length;
    export const request = (handle: number, value: any) => econtext().router.contextById(0).request(handle, value);
    export const unsent = (url: string, path: string) => resource({ url }, path);
  `,
  "app/src/beside.txt": "beside",
  "app/src/data/deep/inner.json": "{}",
  "app/src/data/empty": "",
  "app/src/100%.txt": "percent",
  "app/src/.env": "SECRET=1",
  "app/src/prod.env": "SECRET=1",
  "app/src/server.key": "k",
  "app/src/cert.pem": "k",
  "app/src/id_rsa": "k",
  "app/src/chain.crt": PEM,
  "app/src/unsent.ts": "export {};",
  "app/.git/config": "[core]",
  "app/src/link-inside": "→ beside.txt",
  "app/src/link-outside.txt": "→ ../../outside.txt",
  "app/src/link-directory": "→ ../..",
  "app/src/link-hidden.txt": "→ .env",
  "app/src/link-nowhere.txt": "→ ../../nothing",
  "app/node_modules/pkg/package.json": `{ "name": "pkg", "main": "./lib/index.js" }`,
  "app/node_modules/pkg/lib/index.js": `
    const { resource } = require("mitogen");
    exports.read = (path) => resource(module, path, { encoding: "utf8" });`,
  "app/node_modules/pkg/data.txt": "of pkg",
  "app/node_modules/pkg/node_modules/inner/data.txt": "of inner",
  "outside.txt": "outside",
  "lone/lone.mjs": `import { resource } from "mitogen"; export const text = (path) => resource(import.meta, path);`,
});
const file = (path: string): string => fileURLToPath(at(path));
writeFileSync(file("app/src/add.wasm"), Buffer.from(ADD_WASM, "hex"));
writeFileSync(file("app/src/largest.bin"), Buffer.alloc(LARGEST, 7));
writeFileSync(file("app/src/larger.bin"), Buffer.alloc(LARGEST + 1));
execFileSync("mkfifo", [file("app/src/pipe")]);

const MODULE = at("app/src/files.ts");
const owner = { url: MODULE };
type Files = {
  bytes(path: string): Promise<Buffer>;
  text(path: string): Promise<string>;
  installed(path: string): Promise<string>;
  together(path: string, count: number): Promise<number>;
  flood(path: string, count: number): Promise<Record<string, number>>;
  add(a: number, b: number): Promise<number>;
  misuse(owner: unknown, path: unknown): Promise<string>;
  size(path: string): Promise<number>;
  request(handle: number, value: unknown): Promise<unknown>;
  unsent(url: string, path: string): Promise<Buffer>;
};
const remote = <K extends keyof Files & string>(name: K) => ref<Files[K]>(MODULE, name);

const REFUSED = "ERR_RESOURCE_REFUSED";
const OUTSIDE = "it is outside the package of the module, or hidden";
const CHARACTERS = "the path has characters that are not allowed";
const RELATIVE = "the path must be relative to the module";
const KEY = "it holds a key or other secrets";
const NOWHERE = "it is a link that leads nowhere";

const failures: [path: string, code: string, reason: string][] = [
  ["./nothing.txt", "ENOENT", "no such file"],
  ["./data/nothing/deep.txt", "ENOENT", "no such file"],
  ["./beside.txt/below", "ENOENT", "no such file"],
  ["./data", "ENOENT", "it is a directory"],
  ["./data/", "ENOENT", "it is a directory"],
  ["./pipe", "ENOENT", "it is not a file"],
  [
    "./larger.bin",
    "ERR_RESOURCE_TOO_LARGE",
    `it has ${LARGEST + 1} bytes, more than ${LARGEST}; pass it with getFile() instead`,
  ],
  ["", REFUSED, "the path is empty or too long"],
  [`./${"x".repeat(1_000)}`, REFUSED, "the path is empty or too long"],
  ["/etc/passwd", REFUSED, RELATIVE],
  ["/etc/nothing", REFUSED, RELATIVE],
  [at("app/src/beside.txt"), REFUSED, RELATIVE],
  ["http://example.com/x", REFUSED, RELATIVE],
  ["data:,x", REFUSED, RELATIVE],
  ["node:fs", REFUSED, RELATIVE],
  ["../../outside.txt", REFUSED, OUTSIDE],
  ["../../nothing.txt", REFUSED, OUTSIDE],
  ["./data/../../../outside.txt", REFUSED, OUTSIDE],
  ["../..", REFUSED, OUTSIDE],
  ["./%2e%2e/%2e%2e/outside.txt", REFUSED, CHARACTERS],
  ["..%2f..%2foutside.txt", REFUSED, CHARACTERS],
  ["..\\..\\outside.txt", REFUSED, CHARACTERS],
  ["./beside.txt\0.png", REFUSED, CHARACTERS],
  ["./beside.txt\n", REFUSED, CHARACTERS],
  ["./.env", REFUSED, OUTSIDE],
  ["../.git/config", REFUSED, OUTSIDE],
  ["../.git/nothing", REFUSED, OUTSIDE],
  ["./prod.env", REFUSED, KEY],
  ["./server.key", REFUSED, KEY],
  ["./cert.pem", REFUSED, KEY],
  ["./id_rsa", REFUSED, KEY],
  ["./chain.crt", REFUSED, KEY],
  ["../node_modules/pkg/data.txt", REFUSED, OUTSIDE],
  ["./link-outside.txt", REFUSED, OUTSIDE],
  ["./link-directory/outside.txt", REFUSED, OUTSIDE],
  ["./link-directory/nothing.txt", REFUSED, OUTSIDE],
  ["./link-hidden.txt", REFUSED, OUTSIDE],
  ["./link-nowhere.txt", REFUSED, NOWHERE],
];
const shown = (path: string): string => (path.length > 200 ? `${path.slice(0, 200)}…` : path);
const failureOf = (path: string, reason: string): string =>
  `Cannot read resource '${shown(path)}' of ${MODULE}: ${reason}`;

describe("resource in the program", () => {
  it("reads files beside a module, named by import.meta or module, as bytes or text", async () => {
    assert.deepEqual(await resource(owner, "./beside.txt"), Buffer.from("beside"));
    assert.equal(await resource(owner, "../motd.txt", { encoding: "utf8" }), "häl\nlo");
    assert.equal(await resource(owner, "100%.txt", { encoding: "latin1" }), "percent");
    const module = { filename: file("app/node_modules/pkg/lib/index.js") };
    assert.equal(await resource(module, "../data.txt", { encoding: "utf8" }), "of pkg");
    assert.equal((await resource(owner, "./largest.bin")).length, LARGEST);
    assert.equal((await resource({ url: `${MODULE}?query#hash` }, "link-inside")).length, 6);
  });
  for (const [path, code, reason] of failures) {
    it(`rejects ${JSON.stringify(path.replace(at(""), "<root>/").slice(0, 40))} with ${code}: ${reason}`, async () => {
      await assert.rejects(resource(owner, path), { code, message: failureOf(path, reason) });
    });
  }
  it("rejects for a module without a package, and for anything that is not a module", async () => {
    await assert.rejects(resource({ url: at("lone/lone.mjs") }, "./lone.mjs"), {
      code: REFUSED,
      message: /the module belongs to no package; add a package\.json$/,
    });
    await assert.rejects(resource({ url: "data:text/javascript,1" }, "./x"), /the module has no file$/);
    await assert.rejects(resource({} as never, "./x"), TypeError);
    await assert.rejects(resource(owner, 1 as never), TypeError);
  });
});

for (const major of [12, 18, 26]) {
  describe(`resource in a context on Node ${major}, and behind it`, { skip: skipReason() }, () => {
    let router: Router;
    let near: Context;
    let far: Context;
    let logs: CollectedLogs;
    const refusals = (): string[] =>
      logs.records.filter(({ level }) => level === "warning").map(({ message }) => message);
    before(async () => {
      logs = collectLogs();
      router = new Router();
      near = await router.local({ nodePath: nodes[major] as string, name: "near" });
      far = await router.local({ nodePath: nodes[major] as string, name: "far", via: near });
    });
    after(async () => {
      await router.shutdown();
      logs.stop();
    });

    it("reads the files of the program", async () => {
      for (const context of [near, far]) {
        assert.deepEqual(await context.call(remote("bytes"), "./beside.txt"), Buffer.from("beside"));
        assert.equal(await context.call(remote("text"), "../motd.txt"), "häl\nlo");
        assert.equal(await context.call(remote("text"), "data/deep/inner.json"), "{}");
        assert.equal(await context.call(remote("text"), "./data/empty"), "");
        assert.equal(await context.call(remote("text"), "./link-inside"), "beside");
        assert.equal(await context.call(remote("installed"), "../data.txt"), "of pkg");
        assert.equal((await context.call(remote("bytes"), "./largest.bin")).length, LARGEST);
      }
    });
    it("reads WebAssembly that runs", async () => {
      for (const context of [near, far]) assert.equal(await context.call(remote("add"), 2, 3), 5);
    });
    it("asks once for a file, however many calls want it, and gives each its own bytes", async () => {
      const requests = (): number =>
        logs.records.filter(({ message }) => message.startsWith("Gave resource './../src/beside.txt'"))
          .length;
      const known = requests();
      assert.equal(await near.call(remote("together"), "./../src/beside.txt", 20), 20 + 19);
      assert.equal(await near.call(remote("together"), "./../src/beside.txt", 20), 20 + 19);
      assert.equal(requests(), known + 1);
    });
    it("refuses what the program refuses, and logs which context asked", async () => {
      for (const [path, code, reason] of failures) {
        const known = refusals().length;
        await assert.rejects(far.call(remote("bytes"), path), (error: CallError) => {
          assert.ok(error instanceof CallError);
          assert.equal(error.code, code);
          assert.equal(error.message, `Error: ${failureOf(path, reason)}`);
          return true;
        });
        const refused =
          code === REFUSED
            ? [
                `Refused a resource to ${far.name}: ${failureOf(path, reason).replaceAll("\0", "\\u0000").replaceAll("\n", "\\u000a")}`,
              ]
            : [];
        assert.deepEqual(refusals().slice(known), refused);
      }
    });
    it("refuses files of modules that this context was not sent, and of packages inside packages", async () => {
      const unsent = near.call(remote("unsent"), at("app/src/unsent.ts"), "./beside.txt");
      await assert.rejects(unsent, { code: REFUSED, message: /the module was not sent to this context$/ });
      const own = near.call(remote("unsent"), "mitogen:api", "./beside.txt");
      await assert.rejects(own, { code: REFUSED });
      const inner = near.call(remote("installed"), "../node_modules/inner/data.txt");
      await assert.rejects(inner, { code: REFUSED });
    });
    it("refuses invalid arguments in the context", async () => {
      assert.match(
        await near.call(remote("misuse"), null, "./x"),
        /must be import\.meta or module, got null$/,
      );
      assert.match(await near.call(remote("misuse"), owner, 7), /the path must be a string, got 7$/);
    });
    it("answers a flood of requests, and refuses those beyond the limit", async () => {
      const codes = await near.call(remote("flood"), "./nothing", 10_000);
      assert.equal((codes.ENOENT ?? 0) + (codes[REFUSED] ?? 0), 10_000);
      assert.ok((codes.ENOENT ?? 0) >= 4096, JSON.stringify(codes));
      assert.equal(await near.call(remote("text"), "./beside.txt"), "beside");
    });
  });
}

describe("ResourceServer of a router with the smallest maxMessageBytes", () => {
  const maxMessageBytes = 1024 * 1024;
  let router: Router;
  let context: Context;
  before(async () => {
    router = new Router(undefined, { maxMessageBytes });
    context = await router.local();
  });
  after(() => router.shutdown());

  it("answers malformed requests with a refusal", async () => {
    const logs = collectLogs();
    for (const value of [null, 1, [], [MODULE], [1, 2], { id: MODULE }, [[MODULE], "./beside.txt"]]) {
      assert.deepEqual(await context.call(remote("request"), Handle.GET_RESOURCE, value), [
        "Cannot read resource: a request must be [module id, path]",
        REFUSED,
      ]);
    }
    assert.ok(
      logs.records.some(({ message }) => message.startsWith(`Refused a resource to ${context.name}: `)),
    );
    logs.stop();
  });

  it("refuses a resource that does not fit into a message", async () => {
    writeFileSync(file("app/src/fits.bin"), Buffer.alloc(maxMessageBytes - 64));
    writeFileSync(file("app/src/fits-not.bin"), Buffer.alloc(maxMessageBytes - 63));
    assert.equal(await context.call(remote("size"), "./fits.bin"), maxMessageBytes - 64);
    await assert.rejects(context.call(remote("size"), "./fits-not.bin"), { code: "ERR_RESOURCE_TOO_LARGE" });
  });
});

/** A link to a child that reads only when the test says so. */
class SlowLink extends FakeLink {
  queued = 0;
  onSent: () => void = () => undefined;
  /** Called whenever somebody waits for the child to read. */
  onWait: () => void = () => undefined;
  #drained: (() => void) | undefined;

  override send(frame: Frame): boolean {
    for (const piece of frame.body) this.queued += piece.length;
    super.send(frame);
    this.onSent();
    return true;
  }

  async drained(): Promise<void> {
    if (this.queued < 1024 * 1024) return;
    this.onWait();
    await new Promise<void>((resolve) => {
      this.#drained = resolve;
    });
  }

  /** The child reads all there is. */
  override drain(): void {
    this.queued = 0;
    this.#drained?.();
  }
}

/** A server with one child, 1, and the requests that child sends. */
function serverAndChild(maxAllWaiting?: number) {
  const router = new CoreRouter(new FakeBroker(), { contextId: 0 });
  new ResourceServer(router, () => true, maxAllWaiting);
  const link = new SlowLink();
  router.attach(link, 1, "child");
  const request = (path: string, srcId = 1): void => {
    const body = encodeValue([MODULE, path]);
    const { GET_RESOURCE: handle } = Handle;
    link.receive({ encoding: Encoding.CBOR, dstId: 0, srcId, authId: srcId, handle, replyTo: 1000, body });
  };
  /** Makes known that a context is behind the child. */
  const introduce = (contextId: number): boolean => router.addRoute(contextId, router.peerOf(1) as Peer);
  const sent = (count: number): Promise<void> =>
    new Promise((resolve) => {
      link.onSent = () => {
        if (link.sent.length >= count) resolve();
      };
      link.onSent();
    });
  return { link, request, introduce, sent };
}

test("ResourceServer sends contexts behind an unread link one resource at a time, in turn", async () => {
  const { link, request, introduce, sent } = serverAndChild();
  const ids = [2, 3, 4];
  for (const id of ids) introduce(id);
  const waits = (): Promise<void> =>
    new Promise((resolve) => {
      link.onWait = resolve;
    });
  let full = waits();
  for (const id of [2, 2, 3, 4]) request("./largest.bin", id);
  for (const count of [1, 2, 3]) {
    await full;
    assert.equal(link.sent.length, count);
    assert.ok(link.queued < LARGEST + 100);
    full = waits();
    link.drain();
  }
  await sent(4);
  // The second request of a context comes after the first ones of the others.
  assert.deepEqual(
    link.sent.map(({ dstId }) => dstId),
    [2, 3, 4, 2],
  );
});

test("ResourceServer refuses requests of many contexts if too many wait in total", async () => {
  const { link, request, introduce, sent } = serverAndChild(30);
  for (const id of [2, 3, 4]) {
    introduce(id);
    for (let i = 0; i < 10; i++) request("./nothing", id);
  }
  assert.equal(link.sent.length, 0);
  introduce(5);
  request("./beside.txt", 5);
  const [reason] = decodeValue(Buffer.concat((link.sent[0] as Frame).body)) as [string];
  assert.match(reason, /30 requests are waiting/);
  link.onWait = () => setImmediate(() => link.drain());
  await sent(31);
  request("./beside.txt", 5);
  await sent(32);
  assert.ok(Buffer.isBuffer(decodeValue(Buffer.concat((link.sent.at(-1) as Frame).body))));
});

test("ResourceServer sends a context that does not read one resource at a time", async () => {
  const { link, request, sent } = serverAndChild();
  const waits = (): Promise<void> =>
    new Promise((resolve) => {
      link.onWait = resolve;
    });
  let full = waits();
  for (let i = 0; i < 3; i++) request("./largest.bin");
  for (const count of [1, 2]) {
    await full;
    assert.equal(link.sent.length, count);
    assert.ok(link.queued >= LARGEST && link.queued < LARGEST + 100);
    full = waits();
    link.drain();
  }
  await sent(3);
});

test("ResourceServer refuses more requests of a context than may wait", async () => {
  const { link, request, sent } = serverAndChild();
  for (let i = 0; i < 5000; i++) request("./beside.txt");
  assert.equal(link.sent.length, 5000 - 4096); // at once
  await sent(5000);
  const answers = link.sent.map(({ body }) => decodeValue(Buffer.concat(body)));
  assert.equal(answers.filter((answer) => Buffer.isBuffer(answer)).length, 4096);
});
