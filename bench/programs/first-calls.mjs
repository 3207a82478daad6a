// The first call in each of some contexts, one context after the other: milliseconds of the first and of the median later one.
import { runWithRouter } from "mitogen";

const LATER = 5;

export function noop() {}

async function main(router) {
  const times = [];
  while (times.length <= LATER) {
    const context = await router.local();
    const start = performance.now();
    await context.call(noop);
    times.push(performance.now() - start);
  }
  const [first, ...later] = times;
  console.log(JSON.stringify({ first, later: later.sort((a, b) => a - b)[LATER >> 1] }));
}

await runWithRouter(main);
