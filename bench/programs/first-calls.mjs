// The first call in each of some contexts, one context after the other: milliseconds and CPU of the process
// tree of the first, and of the later ones together.
import { runWithRouter } from "mitogen";
import { treeCpuMs } from "./cpu.mjs";

const LATER = 5;

export function noop() {}

async function firstCall(router) {
  const context = await router.local();
  const cpu = treeCpuMs();
  const start = performance.now();
  await context.call(noop);
  return { value: performance.now() - start, cpu: treeCpuMs() - cpu };
}

async function main(router) {
  const first = await firstCall(router);
  const later = [];
  while (later.length < LATER) later.push(await firstCall(router));
  const mean = (key) => later.reduce((sum, each) => sum + each[key], 0) / LATER;
  console.log(JSON.stringify({ first, later: { value: mean("value"), cpu: mean("cpu") } }));
}

await runWithRouter(main);
