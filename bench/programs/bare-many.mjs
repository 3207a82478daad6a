// So many bare Node children, each started by a shell, sent as much as a context is and asked for an answer: what that costs this
// process in CPU milliseconds per child.
import { spawn } from "node:child_process";
import { once } from "node:events";

const count = Number(process.argv[2]);
const PAYLOAD = Buffer.alloc(20_000, 7);
const ECHO = 'process.stdin.once("data", () => process.stdout.write("!")).resume()';

async function one() {
  // What a shell runs in the background has an empty stdin, unless it is named.
  const command = ["-c", 'exec 3<&0; "$0" -e "$1" <&3 & wait', process.execPath, ECHO];
  const child = spawn("sh", command, { stdio: ["pipe", "pipe", "pipe"], detached: true });
  child.stdin.write(PAYLOAD);
  await once(child.stdout, "data");
  return child;
}

const own = process.cpuUsage();
const children = await Promise.all(Array.from({ length: count }, one));
const { user, system } = process.cpuUsage(own);
const value = (user + system) / 1000 / count;
console.log(JSON.stringify({ connect: { value, cpu: value } }));
for (const child of children) child.stdin.end();
