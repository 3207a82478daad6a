// Resident memory of a child that has answered one call.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { ownPid } from "../functions.mjs";
import { Ours } from "../ours.mjs";

const IDLE_WORKER = `
const { Worker } = require("worker_threads");
new Worker("setInterval(() => {}, 1e6)", { eval: true }).on("online", () => console.log("online"));`;

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
        start: () => ({ run: measureIdleWorker }),
      },
    ],
  },
];

async function measureIdleWorker() {
  const child = spawn(process.execPath, ["-e", IDLE_WORKER], { stdio: ["ignore", "pipe", "inherit"] });
  const ended = once(child, "close");
  await once(child.stdout, "data");
  const size = residentMiB(child.pid);
  child.kill("SIGKILL");
  await ended;
  return size;
}
