// One large argument to a function that ignores it.
import { noop } from "../functions.mjs";
import { Ours, timed } from "../ours.mjs";
import { MitogenPeer } from "../peers/mitogen.mjs";
import { barePipe, barePipeOfCopies } from "../peers/pipe.mjs";

const MEBIBYTES = 127;

export const rows = [
  {
    what: `${MEBIBYTES} MiB argument to a no-op`,
    unit: "MiB/s",
    per: MEBIBYTES,
    ours: async (library) => {
      const data = Buffer.alloc(MEBIBYTES << 20);
      const ours = new Ours(library);
      const child = await ours.warmChild();
      return { run: () => timed(() => child.call(noop, data)), close: () => ours.close() };
    },
    peers: [
      { name: "Mitogen", goal: { ratioAtLeast: 6 }, start: () => MitogenPeer.side("blob", MEBIBYTES) },
      { name: "floor: copied, through a bare pipe, kept", start: () => barePipeOfCopies(MEBIBYTES) },
      { name: "floor: the same through a bare pipe", start: () => barePipe(MEBIBYTES) },
    ],
  },
];
