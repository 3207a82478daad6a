/**
 * The first script: a function of this file runs in another process. What it prints comes back as a log
 * record.
 */

import { logToFile, type Router, runWithRouter } from "mitogen";

export function myFirstFunction() {
  console.log("Hello from remote context!");
  return 123;
}

async function main(router: Router) {
  const local = await router.local();
  console.log(await local.call(myFirstFunction));
}

logToFile();
await runWithRouter(main);
