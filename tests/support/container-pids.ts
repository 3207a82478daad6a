import { readdirSync, readFileSync, readlinkSync } from "node:fs";

/** The ids on this machine of the processes `pids` of the container of `leaderPid`. Throws if one does not exist. */
export function hostPids(leaderPid: number, pids: readonly number[]): number[] {
  const namespace = readlinkSync(`/proc/${leaderPid}/ns/pid`);
  const found = new Map<number, number>();
  for (const name of readdirSync("/proc").filter(Number)) {
    try {
      if (readlinkSync(`/proc/${name}/ns/pid`) !== namespace) continue;
      const inner = /^NSpid:.*\s(\d+)$/m.exec(readFileSync(`/proc/${name}/status`, "utf8"))?.[1];
      found.set(Number(inner), Number(name));
    } catch {
      // It has ended.
    }
  }
  return pids.map((pid) => {
    const hostPid = found.get(pid);
    if (hostPid === undefined) throw new Error(`The container has no process ${pid}`);
    return hostPid;
  });
}
