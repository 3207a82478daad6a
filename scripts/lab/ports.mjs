// Ports on loopback that stay the same from one run to the next.
import { existsSync, readFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { join } from "node:path";
import { runningPid } from "./daemon.mjs";
import { stateFolder } from "./places.mjs";
import { writeIfChanged } from "./run.mjs";

export const HOST = "127.0.0.1";

/** The port of the daemon `name`: its own while it runs, its last one if that is still free, or another. */
export async function steadyPort(name) {
  const file = join(stateFolder, `${name}.port`);
  const before = existsSync(file) ? Number(readFileSync(file, "utf8")) : 0;
  if (before && runningPid(name)) return before;
  const port = (await freePort(before)) ?? (await freePort(0));
  writeIfChanged(file, String(port));
  return port;
}

/** `port`, or any when it is 0, if nobody listens there. */
export function freePort(port) {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once("error", () => resolve(undefined));
    probe.listen(port, HOST, () => {
      const found = probe.address().port;
      probe.close(() => resolve(found));
    });
  });
}

export function listens(port, host = HOST) {
  return new Promise((resolve) => {
    const socket = connect(port, host);
    socket.once("error", () => resolve(false));
    socket.once("connect", () => resolve(true));
    socket.once("connect", () => socket.destroy());
  });
}

/** Whether an SSH server greets at that port. */
export function greets(port, host = HOST) {
  return new Promise((resolve) => {
    const socket = connect(port, host);
    socket.once("error", () => resolve(false));
    socket.once("data", (banner) => resolve(banner.toString("latin1").startsWith("SSH-2.0")));
    socket.once("close", () => resolve(false));
    socket.once("data", () => socket.destroy());
  });
}
