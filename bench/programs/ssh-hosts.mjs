// One call to each of some hosts at once; each argument holds the options of one.
import { runWithRouter } from "mitogen";

export function noop() {}

async function main(router) {
  const call = async (options) => await (await router.ssh(JSON.parse(options))).call(noop);
  await Promise.all(process.argv.slice(2).map(call));
}

await runWithRouter(main);
