// Bursts of pipelined calls to a local child after some sequential ones: milliseconds and CPU of the process
// tree of each.
import { runWithRouter } from "mitogen";
import { treeCpuMs } from "./cpu.mjs";

const [before, count, bursts] = process.argv.slice(2).map(Number);

export function noop() {}

async function main(router) {
  const local = await router.local();
  for (let call = 0; call < before; call++) await local.call(noop);
  const found = [];
  while (found.length < bursts) {
    const cpu = treeCpuMs();
    const start = performance.now();
    await Promise.all(Array.from({ length: count }, () => local.call(noop)));
    found.push({ value: performance.now() - start, cpu: treeCpuMs() - cpu });
  }
  console.log(JSON.stringify(found));
}

await runWithRouter(main);
