// Starts contexts, local ones or over ssh with the given options. Prints what a connect with its first call costs,
// and then what one call to each costs, in CPU milliseconds per connect and call: `value` is that of this process,
// `cpu` that of its whole tree.
import { runWithRouter } from "mitogen";
import { treeCpuMs } from "./cpu.mjs";

const [, , count, sshOptions] = process.argv;

export function noop() {}

async function cost(work) {
  const tree = treeCpuMs();
  const own = process.cpuUsage();
  await Promise.all(Array.from({ length: Number(count) }, work));
  const { user, system } = process.cpuUsage(own);
  return { value: (user + system) / 1000 / count, cpu: (treeCpuMs() - tree) / count };
}

async function main(router) {
  const start = () => (sshOptions ? router.ssh(JSON.parse(sshOptions)) : router.local());
  const contexts = [];
  const connect = await cost(async (_, at) => {
    contexts[at] = await start();
    await contexts[at].call(noop);
  });
  const call = await cost((_, at) => contexts[at].call(noop));
  console.log(JSON.stringify({ connect, call }));
}

await runWithRouter(main);
