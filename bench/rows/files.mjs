// A file of this process to a local child: ours verified and on the disk, the peer's as it comes.
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Ours, timed } from "../ours.mjs";
import { MitogenPeer } from "../peers/mitogen.mjs";

const MEBIBYTES = 128;

/** A file to send, alone in a folder of its own. */
function makeFile() {
  const folder = mkdtempSync(join(tmpdir(), "mitogen-bench-"));
  const path = join(folder, "file");
  writeFileSync(path, "");
  truncateSync(path, MEBIBYTES << 20);
  return { path, remove: () => rmSync(folder, { recursive: true }) };
}

export const rows = [
  {
    what: `file of ${MEBIBYTES} MiB to a local child`,
    unit: "MiB/s",
    per: MEBIBYTES,
    ours: async (library) => {
      const file = makeFile();
      const ours = new Ours(library);
      const child = await ours.warmChild();
      return {
        run: () => timed(() => library.api.putFile(child, `${file.path}.ours`, file.path)),
        close: async () => {
          await ours.close();
          file.remove();
        },
      };
    },
    peers: [
      {
        name: "Mitogen FileService",
        goal: { ratioAtLeast: 1.2 },
        start: async () => {
          const file = makeFile();
          const peer = await MitogenPeer.start();
          return {
            run: () => peer.ms("file", file.path),
            close: async () => {
              await peer.close();
              file.remove();
            },
          };
        },
      },
    ],
  },
];
