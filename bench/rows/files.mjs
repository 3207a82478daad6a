// A file of this process to a local child: ours verified and on the disk, the peer's as it comes.
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { putFile } from "../../dist/index.js";
import { Ours, timed } from "../ours.mjs";
import { MitogenPeer } from "../peers/mitogen.mjs";

const MEBIBYTES = 128;

let folder;
let path;
let ours;
let child;
let peer;

export const rows = [
  {
    name: `file of ${MEBIBYTES} MiB to a local child`,
    peer: "Mitogen FileService",
    unit: "MiB/s",
    goal: { ratioAtLeast: 2 },
    setup: async () => {
      folder = mkdtempSync(join(tmpdir(), "mitogen-bench-"));
      path = join(folder, "file");
      writeFileSync(path, "");
      truncateSync(path, MEBIBYTES << 20);
      ours = new Ours();
      child = await ours.warmChild();
      peer = await MitogenPeer.start();
    },
    runA: async () => (MEBIBYTES * 1000) / (await timed(() => putFile(child, `${path}.ours`, path))),
    runB: async () => MEBIBYTES / (await peer.seconds("file", path)),
    teardown: async () => {
      await Promise.allSettled([ours?.close(), peer?.close()]);
      rmSync(folder, { recursive: true });
    },
  },
];
