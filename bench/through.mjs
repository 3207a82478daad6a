/**
 * What each host of a fleet costs the program if the work runs in hops (docs/fleet.md#through):
 * `npm run build && node bench/through.mjs [--hops 10] [--hosts 100,400,1000] [--node PATH]`. Hosts are local contexts of
 * the hops, with the given Node, so the machine needs about 20 MB of memory for each.
 */
import os from "node:os";
import { parseArgs } from "node:util";
import { Fleet } from "../dist/fleet.js";
import { Router } from "../dist/index.js";

const { values } = parseArgs({
  options: {
    hops: { type: "string", default: "10" },
    hosts: { type: "string", default: "100,400,1000" },
    node: { type: "string", default: process.execPath },
  },
});
const nodePath = values.node;

const host = (name) => ({ name, groups: [], vars: {}, steps: [{ local: { nodePath } }] });
const list = (prefix, count) => Array.from({ length: count }, (_, i) => host(`${prefix}${i}`));

console.log(
  "| hosts | connect s | call s | CPU ms a host: connect | call | memory KiB a host | failed |\n|---|---|---|---|---|---|---|",
);
for (const count of values.hosts.split(",").map(Number)) {
  const router = new Router(undefined, { connectConcurrency: 64 });
  global.gc?.();
  const before = process.memoryUsage().rss;
  const connect = await measured(async () => {
    const fleet = await Fleet.connect(router, list("h", count), {
      through: list("hop", Number(values.hops)),
      concurrency: 4,
      timeoutMs: 300_000,
    });
    await fleet.ready;
    return fleet;
  });
  const fleet = connect.value;
  // The first call brings the code; the second one is what a call costs.
  await fleet.run(os.hostname, []).all();
  const call = await measured(() => fleet.run(os.hostname, []).all());
  global.gc?.();
  const memory = (process.memoryUsage().rss - before) / 1024;
  const failed = call.value.filter(({ status }) => status !== "ok").length;
  const each = (ms) => (ms / count).toFixed(2);
  console.log(
    `| ${count} | ${(connect.wallMs / 1000).toFixed(1)} | ${(call.wallMs / 1000).toFixed(2)} | ${each(connect.cpuMs)} | ${each(call.cpuMs)} | ${(memory / count).toFixed(0)} | ${failed} |`,
  );
  await fleet.close();
  await router.shutdown();
}

async function measured(work) {
  const start = performance.now();
  const cpu = process.cpuUsage();
  const value = await work();
  const { user, system } = process.cpuUsage(cpu);
  return { value, wallMs: performance.now() - start, cpuMs: (user + system) / 1000 };
}
