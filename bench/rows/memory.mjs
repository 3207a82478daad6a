// Resident memory of a child that has answered one call.
import { readFileSync } from "node:fs";
import { ownPid } from "../functions.mjs";
import { Ours } from "../ours.mjs";
import { IdleNode } from "../peers/idle.mjs";

function residentMiB(pid) {
  return Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))[1]) / 1024;
}

export const rows = [
  {
    what: "child RSS",
    unit: "MiB",
    ours: (library) => {
      const ours = new Ours(library);
      const run = async () => {
        const child = await ours.router.local();
        const size = residentMiB(await child.call(ownPid));
        await child.shutdown({ wait: true });
        return size;
      };
      return { run, close: () => ours.close() };
    },
    peers: [
      {
        name: "bare node, idle Worker",
        goal: { moreAtMost: 4 },
        start: () => ({
          run: async () => {
            const node = new IdleNode();
            await node.online;
            const size = residentMiB(node.pid);
            await node.close();
            return size;
          },
        }),
      },
    ],
  },
];
