/**
 * Ten contexts, each a child of the one before. The last one is called like the first; when one goes, what is
 * below it goes too.
 */

import { type Context, econtext, type Router, runWithRouter } from "mitogen";

const DEPTH = 10;

/** How many contexts are above the one this runs in, the program included. */
export function depth(): number {
  return econtext().parentIds.length;
}

async function main(router: Router): Promise<void> {
  const contexts: Context[] = [];
  for (let level = 1; level <= DEPTH; level++) {
    const via = contexts.at(-1);
    contexts.push(await router.local({ remoteName: `level-${level}`, ...(via && { via }) }));
  }
  const [first, last] = [contexts[0], contexts.at(-1)] as [Context, Context];
  console.log(`depths: ${(await Promise.all(contexts.map((each) => each.call(depth)))).join(" ")}`);
  console.log(`ping through ${DEPTH} links: ${(await last.ping()).toFixed(2)} ms`);

  await first.shutdown();
  await last.disconnected;
  console.log("the first ended, and the last one with it");
}

await runWithRouter(main);
