import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";

const core = new URL("../../src/", import.meta.url);

/**
 * Runs a program with everything of core/ that it names. `later(fn)` and `muchLater(fn)` are timers that keep
 * nothing alive: they fire only if something else keeps the program alive. On a busy machine, a program may take
 * longer to end than the short timer.
 */
function run(program: string): { stdout: string; stderr: string; status: number | null } {
  const script = `
    import { KeepAlive } from "${new URL("waiting/keep-alive.js", core)}";
    import { Broker } from "${new URL("waiting/broker.js", core)}";
    import { CoreRouter } from "${new URL("core/router.js", core)}";
    import { Receiver } from "${new URL("core/receiver.js", core)}";
    import { installFeatures } from "${new URL("calls/caller/router-features.js", core)}";
    const later = (fn) => setTimeout(fn, 30).unref();
    const muchLater = (fn) => setTimeout(fn, 5000).unref();
    ${program}`;
  const { NODE_TEST_CONTEXT, ...env } = process.env;
  return spawnSync(process.execPath, ["--input-type=module", "-e", script], {
    env,
    encoding: "utf8",
    timeout: 30_000,
  });
}

test("KeepAlive.hold keeps a program alive until release", () => {
  const { stdout, stderr, status } = run(`
    const keepAlive = new KeepAlive();
    keepAlive.hold();
    later(() => { console.log("held"); keepAlive.release(); muchLater(() => console.log("still here")); });
  `);
  assert.deepEqual([status, stdout], [0, "held\n"], stderr);
});

test("KeepAlive needs as many releases as holds, and holds again afterwards", () => {
  const { stdout, stderr, status } = run(`
    const keepAlive = new KeepAlive();
    keepAlive.hold(); keepAlive.hold(); keepAlive.release();
    later(() => {
      console.log("one left");
      keepAlive.release(); keepAlive.hold();
      later(() => { console.log("again"); keepAlive.release(); });
    });
  `);
  assert.deepEqual([status, stdout], [0, "one left\nagain\n"], stderr);
});

test("KeepAlive.release of the last hold lets the program end", () => {
  const { stdout, status } = run(`
    const keepAlive = new KeepAlive();
    keepAlive.hold(); keepAlive.hold(); keepAlive.release(); keepAlive.release();
    muchLater(() => console.log("still here"));
  `);
  assert.deepEqual([status, stdout], [0, ""]);
});

test("KeepAlive.dispose makes open and later holds void", () => {
  const { stdout, status } = run(`
    const keepAlive = new KeepAlive();
    keepAlive.hold(); keepAlive.hold();
    keepAlive.dispose();
    keepAlive.hold();
    keepAlive.release();
    muchLater(() => console.log("still here"));
  `);
  assert.deepEqual([status, stdout], [0, ""]);
});

test("Receiver.get keeps the program alive while it waits; a receiver that nobody reads does not", () => {
  const waiting = run(`
    const router = new CoreRouter(new Broker(), { contextId: 0 });
    installFeatures(router, () => ({}));
    const receiver = new Receiver(router);
    receiver.get().then(() => { console.log("got it"); muchLater(() => console.log("still here")); });
    later(() => receiver.toSender().send(1));
  `);
  assert.deepEqual([waiting.status, waiting.stdout], [0, "got it\n"], waiting.stderr);
  const discarded = run(`
    new Receiver(new CoreRouter(new Broker(), { contextId: 0 }));
    muchLater(() => console.log("still here"));
  `);
  assert.deepEqual([discarded.status, discarded.stdout], [0, ""], discarded.stderr);
});

test("Receiver.get keeps nothing alive after a timeout, an abort or a close", () => {
  const { stdout, stderr, status } = run(`
    const receiver = new Receiver(new CoreRouter(new Broker(), { contextId: 0 }));
    const controller = new AbortController();
    const waits = [
      receiver.get({ timeoutMs: 5 }),
      receiver.get({ signal: controller.signal, timeoutMs: 60_000 }),
      receiver.get({ timeoutMs: 60_000 }),
    ];
    controller.abort();
    waits[0].catch(() => receiver.close());
    await Promise.allSettled(waits);
    console.log("over");
    muchLater(() => console.log("still here"));
  `);
  assert.deepEqual([status, stdout], [0, "over\n"], stderr);
});

test("Broker.shutdown keeps the program alive until it has finished, and not longer", () => {
  const { stdout, stderr, status } = run(`
    const broker = new Broker();
    broker.own({ shutdown: () => new Promise((resolve) => later(resolve)) });
    broker.hold();
    broker.shutdown().then(() => { console.log("shut down"); broker.hold(); muchLater(() => console.log("still here")); });
  `);
  assert.deepEqual([status, stdout], [0, "shut down\n"], stderr);
});
