// A file to a local child, and over ssh. The file holds zeros: Mitogen sends only a fifth as many random bytes, the
// others as many.

import { chmodSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { labSsh } from "../lab.mjs";
import { Ours, timed } from "../ours.mjs";
import { timeCommand } from "../peers/command.mjs";
import { bareCopy, bareCopyOverSsh } from "../peers/copy.mjs";
import { MitogenPeer } from "../peers/mitogen.mjs";
import { scratchFolder } from "../scratch.mjs";

const MEBIBYTES = 128;

export const rows = [
  {
    what: `file of ${MEBIBYTES} MiB to a local child`,
    unit: "MiB/s",
    per: MEBIBYTES,
    ours: (library) =>
      sending(async ({ source, target }) => {
        const ours = new Ours(library);
        const child = await ours.warmChild();
        return {
          run: () => timed(() => library.api.putFile(child, target, source)),
          close: () => ours.close(),
        };
      }),
    peers: [
      { name: "Mitogen FileService", goal: { ratioAtLeast: 1.2 }, start: () => mitogenSending("file") },
      {
        name: "Mitogen FileService, SHA-256 at both ends, fsync",
        goal: { ratioAtLeast: 2 },
        start: () => mitogenSending("checked_file"),
      },
      {
        name: "floor: bare Node, SHA-256 at both ends",
        start: () => sending(({ source, target }) => bareCopy(source, target)),
      },
    ],
  },
  {
    what: `file of ${MEBIBYTES} MiB over ssh to loopback, connect and end included`,
    unit: "MiB/s",
    per: MEBIBYTES,
    pairs: 5,
    ours: (library) =>
      sendingOverSsh(async ({ source, target, lab }) => {
        const ours = new Ours(library);
        const run = () =>
          timed(async () => {
            const context = await ours.router.ssh(lab.options);
            await library.api.putFile(context, target, source);
            await context.shutdown({ wait: true });
          });
        return { run, close: () => ours.close() };
      }),
    peers: [
      {
        name: "scp -O",
        goal: { ratioAtLeast: 1 },
        start: () =>
          sendingOverSsh(({ source, target, lab }) => ({
            run: () => timeCommand("scp", ["-qO", ...lab.args, source, `${lab.account.name}:${target}`]),
          })),
      },
      {
        name: "rsync --whole-file",
        goal: { ratioAtLeast: 1 },
        start: () =>
          sendingOverSsh(({ source, target, lab }) => {
            const ssh = `ssh -F ${lab.config}`;
            const args = ["--whole-file", "-e", ssh, source, `${lab.account.name}:${target}`];
            return { run: () => timeCommand("rsync", args) };
          }),
      },
      {
        name: "floor: bare Node over ssh, SHA-256 at both ends",
        start: () => sendingOverSsh(({ source, target, lab }) => bareCopyOverSsh(source, target, lab)),
      },
    ],
  },
];

/** The side that `start({ source, target })` returns. Before each run there is no file `target`. */
async function sending(start) {
  const folder = scratchFolder();
  chmodSync(folder, 0o777); // Over ssh another user writes there.
  const [source, target] = ["source", "target"].map((name) => join(folder, name));
  writeFileSync(source, "");
  truncateSync(source, MEBIBYTES << 20);
  const side = await start({ source, target });
  return {
    ...side,
    before: async () => {
      rmSync(target, { force: true });
      await side.before?.();
    },
  };
}

async function sendingOverSsh(start) {
  const lab = await labSsh();
  return await sending((paths) => start({ ...paths, lab }));
}

function mitogenSending(command) {
  return sending(async ({ source, target }) => {
    const peer = await MitogenPeer.start();
    return { run: () => peer.ms(command, source, target), close: () => peer.close() };
  });
}
