// The first script of the introduction.
import { logToFile, runWithRouter } from "mitogen";

export function myFirstFunction() {
  console.log("Hello from remote context!");
  return 123;
}

async function main(router) {
  const local = await router.local();
  console.log(await local.call(myFirstFunction));
}

logToFile();
await runWithRouter(main);
