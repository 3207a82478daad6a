// One large argument to a function that ignores it.
import { noop } from "../functions.mjs";
import { Ours, timed } from "../ours.mjs";
import { MitogenPeer } from "../peers/mitogen.mjs";

const MEBIBYTES = 127;

let ours;
let child;
let peer;
let data;

export const rows = [
  {
    name: `${MEBIBYTES} MiB argument to a no-op`,
    peer: "Mitogen",
    unit: "MiB/s",
    goal: { ratioAtLeast: 5 },
    setup: async () => {
      data = Buffer.alloc(MEBIBYTES << 20);
      ours = new Ours();
      child = await ours.warmChild();
      peer = await MitogenPeer.start();
    },
    runA: async () => (MEBIBYTES * 1000) / (await timed(() => child.call(noop, data))),
    runB: async () => MEBIBYTES / (await peer.seconds("blob", MEBIBYTES)),
    teardown: async () => {
      await Promise.allSettled([ours?.close(), peer?.close()]);
    },
  },
];
