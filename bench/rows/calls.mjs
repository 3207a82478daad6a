// No-op calls to a local child: one after the other, pipelined, and through nested children.
import { noop } from "../functions.mjs";
import { Ours, timeCalls, timed } from "../ours.mjs";
import { ForkPeer } from "../peers/fork.mjs";
import { MitogenPeer } from "../peers/mitogen.mjs";

const SEQUENTIAL = 2_000;
const PIPELINED = 5_000;
const DEPTH = 10;
const NESTED = 200;

let ours;
let child;
let peer;

async function closeBoth() {
  await Promise.allSettled([ours?.close(), peer?.close()]);
}

async function setUp(startPeer) {
  ours = new Ours();
  child = await ours.warmChild();
  peer = await startPeer();
}

export const rows = [
  {
    name: "sequential no-op call",
    peer: "Mitogen call",
    unit: "µs/call",
    goal: { ratioAtMost: 0.33 },
    setup: () => setUp(MitogenPeer.start),
    runA: () => timeCalls(child, SEQUENTIAL),
    runB: async () => ((await peer.seconds("calls", SEQUENTIAL)) * 1e6) / SEQUENTIAL,
    teardown: closeBoth,
  },
  {
    name: "sequential no-op call",
    peer: "child_process.fork echo",
    unit: "µs/call",
    goal: { ratioAtMost: 1.5 },
    setup: () => setUp(() => new ForkPeer()),
    runA: () => timeCalls(child, SEQUENTIAL),
    runB: async () => {
      const ms = await timed(async () => {
        for (let call = 0; call < SEQUENTIAL; call++) await peer.echo();
      });
      return (ms * 1000) / SEQUENTIAL;
    },
    teardown: closeBoth,
  },
  {
    name: `${PIPELINED} pipelined no-op calls`,
    peer: "Mitogen call_async",
    unit: "µs/call",
    goal: { ratioAtMost: 0.25 },
    setup: () => setUp(MitogenPeer.start),
    runA: async () => {
      const ms = await timed(() => Promise.all(Array.from({ length: PIPELINED }, () => child.call(noop))));
      return (ms * 1000) / PIPELINED;
    },
    runB: async () => ((await peer.seconds("pipelined", PIPELINED)) * 1e6) / PIPELINED,
    teardown: closeBoth,
  },
  {
    name: `call through ${DEPTH} nested locals`,
    peer: "Mitogen call",
    unit: "µs/call",
    goal: { ratioAtMost: 0.33 },
    setup: async () => {
      await setUp(MitogenPeer.start);
      for (let depth = 1; depth < DEPTH; depth++) child = await ours.warmChild({ via: child });
    },
    runA: () => timeCalls(child, NESTED),
    runB: async () => ((await peer.seconds("nested", DEPTH, NESTED)) * 1e6) / NESTED,
    teardown: closeBoth,
  },
];
