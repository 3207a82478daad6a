import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, it } from "node:test";
import { Keeper, type UpEvent } from "../../../src/cli/up/keeper.ts";
import { type KeptHost, keptHost } from "../../../src/cli/up/kept-host.ts";
import type { KeptMessage } from "../../../src/cli/up/kept-messages.ts";
import type { Step } from "../../../src/fleet/index.ts";
import { checkLeaks, processesGone } from "../../support/leak-check.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

checkLeaks();

const never = new AbortController().signal;
const LOCAL: Step = { local: {} };
/** Never becomes a context. */
const SLOW: Step = { exec: { command: ["/bin/sh", "-c", "exec sleep 1000"], timeoutMs: 600_000 } };

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = [];
  for await (const item of items) list.push(item);
  return list;
}

function host(name: string, step: Step = LOCAL): Promise<KeptHost> {
  return keptHost({ name, groups: [], vars: {}, steps: [step] });
}

describe("the keeper of connections", () => {
  let keeper: Keeper;
  beforeEach(() => {
    keeper = new Keeper();
  });
  afterEach(async () => {
    await keeper.down();
    await keeper.router.broker.shutdown();
  });
  const contexts = (): number => keeper.router.getStats().contextCount;
  const up = (hosts: readonly KeptHost[]): Promise<UpEvent[]> => all(keeper.up(hosts, {}, never));
  /** Runs a function on a host. */
  async function value(kept: KeptHost, module: string, name: string): Promise<unknown> {
    assert.deepEqual(await keeper.prepare([kept]), []);
    const work = ["call", module, [name], []] as const;
    const messages: KeptMessage[] = await all(keeper.work(kept, work, {}, never));
    const last = messages.at(-1);
    assert.ok(last?.type === "result" && last.result.status === "ok", JSON.stringify(messages));
    return last.result.value;
  }

  it("has one connection to a host that two commands connect at the same time", async () => {
    const one = await host("one");
    const ends = await Promise.all([up([one, await host("two")]), up([one, await host("three")])]);
    for (const events of ends) assert.deepEqual(events.at(-2), { type: "kept", host: "one" });
    assert.deepEqual(keeper.names.sort(), ["one", "three", "two"]);
    // Nothing reports the end of the surplus connection, for which nobody waits.
    while (contexts() > 3) await new Promise((resolve) => setImmediate(resolve));
    assert.equal(contexts(), 3);
  });

  it("ends the connections of an up that is interrupted", async () => {
    const interrupt = new AbortController();
    const hosts = [await host("one"), await host("slow", SLOW)];
    for await (const event of keeper.up(hosts, {}, interrupt.signal)) {
      if (event.type === "connected") interrupt.abort();
    }
    assert.equal(contexts(), 0);
    assert.deepEqual(keeper.names, []);
    assert.equal(keeper.hasHosts, false);
  });

  it("keeps the connections of an earlier up if a later one is interrupted", async () => {
    const one = await host("one");
    await up([one]);
    assert.equal(keeper.hasHosts, true);
    const interrupt = new AbortController();
    const slow = await host("slow", SLOW);
    for await (const event of keeper.up([one, slow], {}, interrupt.signal)) {
      if (event.type === "connecting") interrupt.abort();
    }
    assert.deepEqual(keeper.names, ["one"]);
    assert.equal(contexts(), 1);
  });

  it("ends the contexts of code that has changed, once no command uses them", async (t) => {
    const file = join(temporaryFolder(t), "task.mjs");
    const module = `file://${file}`;
    const write = (word: string): void =>
      writeFileSync(
        file,
        `export const pid = () => process.pid;
export const word = () => "${word}";
export const hold = () => {
  const released = new Promise((resolve) => process.once("SIGUSR2", () => resolve("released")));
  console.log(process.pid);
  return released;
};`,
      );
    write("first");
    const one = await host("one");
    await up([one]);
    const pids = [await value(one, module, "pid")];
    for (const word of ["second", "third"]) {
      write(word);
      assert.equal(await value(one, module, "word"), word);
      pids.push(await value(one, module, "pid"));
    }
    assert.equal(new Set(pids).size, 3, "new code runs in a new context");
    const [connection, second, third] = pids as [number, number, number];
    assert.deepEqual(await processesGone([second], 20_000), []);

    // A command that still runs the old code keeps its context.
    let result: KeptMessage | undefined;
    for await (const message of keeper.work(one, ["call", module, ["hold"], []], {}, never)) {
      if (message.type === "event") {
        assert.equal(message.event.type === "output" && message.event.text, String(third));
        write("fourth");
        assert.equal(await value(one, module, "word"), "fourth");
        process.kill(third, "SIGUSR2");
      }
      result = message;
    }
    assert.ok(result?.type === "result" && result.result.value === "released", JSON.stringify(result));
    assert.deepEqual(await processesGone([third], 20_000), []);
    process.kill(connection, 0);
  });

  it("gives further commands another context if a function that was given up hangs, and ends its context", async (t) => {
    const file = join(temporaryFolder(t), "hang.mjs");
    const module = `file://${file}`;
    writeFileSync(
      file,
      `export const pid = () => process.pid;
export const wait = () => { console.log("waits"); return new Promise(() => setInterval(() => {}, 1000)); };
export const hang = () => { console.log("hangs"); for (;;); };`,
    );
    const one = await host("one");
    await up([one]);
    const connection = await value(one, module, "pid");
    /** Begins a function that does not end. Returns what gives it up. */
    const begin = async (name: string): Promise<() => Promise<KeptMessage | undefined>> => {
      const stop = new AbortController();
      const messages = keeper.work(one, ["call", module, [name], []], {}, stop.signal);
      const first = await messages.next();
      assert.ok(first.value?.type === "event", JSON.stringify(first));
      return async () => {
        stop.abort();
        return (await all(messages)).at(-1);
      };
    };
    const endWait = await begin("wait");
    const endHang = await begin("hang");
    assert.ok((await endHang())?.type === "result");
    const second = await value(one, module, "pid");
    assert.notEqual(second, connection);
    assert.equal(await value(one, module, "pid"), second);
    // A context that hangs is ended, if no other command uses it.
    await (await begin("hang"))();
    assert.deepEqual(await processesGone([second as number], 20_000), []);
    process.kill(connection as number, 0);
    await endWait();
    const again = await value(one, module, "pid");
    assert.notEqual(again, connection);
    assert.deepEqual(await processesGone([connection as number], 20_000), []);
    assert.deepEqual(keeper.names, ["one"]);
  });
});
