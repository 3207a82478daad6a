import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import type {
  Provisioning,
  ProvisionTarget,
  RuntimePlan,
  RuntimeSupply,
} from "../../../../src/connection/runtime/plan.ts";
import { provisionerOf } from "../../../../src/connection/runtime/targets/provisioner.ts";

const pack = Buffer.from("a pack");
const plan: RuntimePlan = {
  hash: "0".repeat(64),
  platform: "linux",
  arch: "x64",
  libc: "glibc",
  version: "v22.0.0",
  rawBytes: 4096,
  packedBytes: pack.length,
  libraries: [],
};
const supply: RuntimeSupply = { choose: async () => [plan], read: async () => pack };

/** A target whose shell says what the test wants. */
class ScriptedTarget {
  readonly sent: Uint8Array[] = [];
  failure: unknown;
  readonly #commands: string[] = [];
  readonly #provisioning: Provisioning;
  #wake: () => void = () => undefined;

  constructor() {
    const target: ProvisionTarget = {
      method: "exec",
      nonce: "0123456789abcdef",
      system: "Linux x86_64",
      command: (script) => {
        this.#commands.push(script);
        this.#wake();
      },
      send: async (bytes) => void this.sent.push(bytes),
      boot: () => undefined,
      bootAfter: () => undefined,
      progress: () => undefined,
      fail: (failure) => {
        this.failure = failure;
      },
      over: new Promise(() => undefined),
    };
    this.#provisioning = provisionerOf("cache", supply, () => undefined)(target);
  }

  /** Whether the next line that its shell gets looks for a copy, or takes one. */
  async next(): Promise<"look" | "upload"> {
    while (this.#commands.length === 0) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    return /head -c \d+ <&3/.test(this.#commands.shift() as string) ? "upload" : "look";
  }

  /** The shell says that there is no copy in its folder. */
  sayNone(host: string): void {
    for (const text of ["i 1", "p /x", "f 999999", "t head gzip", "l glibc", `h ${host}`, "."])
      this.say(text);
  }

  say(text: string): void {
    this.#provisioning.said(text);
  }
}

describe("connects to one host at once", () => {
  it("see an upload that ended while they looked, and do not upload a second time", async () => {
    const [first, second] = [new ScriptedTarget(), new ScriptedTarget()];
    assert.deepEqual([await first.next(), await second.next()], ["look", "look"]);
    first.sayNone("one");
    assert.equal(await first.next(), "upload");
    first.say("r /x/node");
    await turn();
    // The second had looked before the copy was there.
    second.sayNone("one");
    assert.equal(await second.next(), "look");
    second.say("r /x/node");
    await turn();
    assert.deepEqual([second.sent, second.failure], [[], undefined]);
  });

  it("wait for an upload that is under way, and take its place if it fails", async () => {
    const [first, second] = [new ScriptedTarget(), new ScriptedTarget()];
    assert.deepEqual([await first.next(), await second.next()], ["look", "look"]);
    first.sayNone("two");
    assert.equal(await first.next(), "upload");
    second.sayNone("two");
    await turn();
    first.say("e write No space left on device");
    assert.equal(await second.next(), "look");
    assert.equal((first.failure as { code: string }).code, "ERR_NO_SPACE");
    second.sayNone("two");
    assert.equal(await second.next(), "upload");
    second.say("r /x/node");
    await turn();
    assert.deepEqual([second.sent.length, second.failure], [1, undefined]);
  });

  it("do not wait for connects to another host", async () => {
    const [first, second] = [new ScriptedTarget(), new ScriptedTarget()];
    assert.deepEqual([await first.next(), await second.next()], ["look", "look"]);
    first.sayNone("three");
    assert.equal(await first.next(), "upload");
    second.sayNone("four");
    assert.equal(await second.next(), "upload");
    for (const target of [first, second]) target.say("r /x/node");
    await turn();
    assert.deepEqual([first.failure, second.failure], [undefined, undefined]);
  });
});
