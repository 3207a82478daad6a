// Starts bare Node children, each by a shell here or by `ssh` with the given words, sends each as much as a context gets, and
// waits for an answer; then one message to each and back. Prints what that costs this process in CPU milliseconds per child.
import { spawn } from "node:child_process";
import { once } from "node:events";

const count = Number(process.argv[2]);
const ssh = process.argv.slice(3);
const PAYLOAD = Buffer.alloc(20_000, 7);
const MESSAGE = Buffer.alloc(90, 7);
const ECHO = `let left = ${PAYLOAD.length};
process.stdin.on("data", ({ length }) => {
  left -= length;
  if (left > 0) return;
  left = ${MESSAGE.length};
  process.stdout.write("!");
});`;

// A command that a shell runs in the background has an empty stdin, unless stdin is named.
const here = ["sh", "-c", 'exec 3<&0; "$0" -e "$1" <&3 & wait', process.execPath, ECHO];
const [command, ...args] = ssh.length > 0 ? [...ssh, `node -e '${ECHO}'`] : here;

async function one() {
  const child = spawn(command, args, { stdio: ["pipe", "pipe", "pipe"], detached: true });
  child.stdin.write(PAYLOAD);
  await once(child.stdout, "data");
  return child;
}

async function cost(work) {
  const own = process.cpuUsage();
  const results = await Promise.all(Array.from({ length: count }, work));
  const { user, system } = process.cpuUsage(own);
  const value = (user + system) / 1000 / count;
  return { results, cost: { value, cpu: value } };
}

const { results: children, cost: connect } = await cost(one);
const { cost: call } = await cost(async (_, at) => {
  children[at].stdin.write(MESSAGE);
  await once(children[at].stdout, "data");
});
console.log(JSON.stringify({ connect, call }));
for (const child of children) child.stdin.end();
