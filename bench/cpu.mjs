// CPU time of a whole process tree, from /proc.
import { readdirSync, readFileSync } from "node:fs";

const TICK_MS = 10; // USER_HZ is 100 on every Linux.

/**
 * Milliseconds of CPU that this process, its living descendants and all processes they have waited for have
 * used. NaN if there is no /proc. It leaves out processes that nobody in the tree waited for, and those of an
 * sshd.
 */
export function treeCpuMs() {
  const { user, system } = process.cpuUsage(); // In microseconds: /proc counts in ticks.
  const [, ...reaped] = cpuTicks(process.pid);
  let ticks = reaped.reduce((sum, each) => sum + each, 0);
  const waiting = childrenOf(process.pid);
  for (let pid = waiting.pop(); pid !== undefined; pid = waiting.pop()) {
    ticks += cpuTicks(pid).reduce((sum, each) => sum + each, 0);
    waiting.push(...childrenOf(pid));
  }
  return (user + system) / 1000 + ticks * TICK_MS;
}

/** The CPU time of the process itself, and that of the children that it has waited for. */
function cpuTicks(pid) {
  const stat = read(`/proc/${pid}/stat`);
  if (stat === undefined) return pid === process.pid ? [0, Number.NaN] : [0, 0]; // It has ended meanwhile.
  const [user, system, childUser, childSystem] = stat
    .slice(stat.lastIndexOf(")") + 2)
    .split(" ")
    .slice(11, 15)
    .map(Number);
  return [user + system, childUser + childSystem];
}

function childrenOf(pid) {
  const texts = tasksOf(pid).map((task) => read(`/proc/${pid}/task/${task}/children`) ?? "");
  return texts.join(" ").split(" ").filter(Boolean).map(Number);
}

function tasksOf(pid) {
  try {
    return readdirSync(`/proc/${pid}/task`);
  } catch {
    return [];
  }
}

function read(path) {
  try {
    return readFileSync(path, "latin1");
  } catch {
    return undefined;
  }
}
