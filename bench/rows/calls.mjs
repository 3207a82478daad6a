// No-op calls to a local child: one after the other, pipelined, and through nested children.
import { noop } from "../functions.mjs";
import { Ours, timed } from "../ours.mjs";
import { ForkPeer } from "../peers/fork.mjs";
import { MitogenPeer } from "../peers/mitogen.mjs";

const SEQUENTIAL = 2_000;
const PIPELINED = 5_000;
const DEPTH = 10;
const NESTED = 200;

/** Milliseconds that so many calls of `call` took, one after the other. */
const oneByOne = (count, call) =>
  timed(async () => {
    for (let at = 0; at < count; at++) await call();
  });

export const rows = [
  {
    what: "sequential no-op call",
    unit: "µs",
    per: SEQUENTIAL,
    ours: async (library) => {
      const ours = new Ours(library);
      const child = await ours.warmChild();
      return { run: () => oneByOne(SEQUENTIAL, () => child.call(noop)), close: () => ours.close() };
    },
    peers: [
      {
        name: "Mitogen call",
        goal: { ratioAtMost: 0.4 },
        start: () => MitogenPeer.side("calls", SEQUENTIAL),
      },
      {
        name: "child_process.fork echo",
        goal: { ratioAtMost: 1.3 },
        start: () => {
          const fork = new ForkPeer();
          return { run: () => oneByOne(SEQUENTIAL, () => fork.echo()), close: () => fork.close() };
        },
      },
    ],
  },
  {
    what: `${PIPELINED} pipelined no-op calls`,
    unit: "µs",
    per: PIPELINED,
    ours: async (library) => {
      const ours = new Ours(library);
      const child = await ours.warmChild();
      const burst = () => Promise.all(Array.from({ length: PIPELINED }, () => child.call(noop)));
      return { run: () => timed(burst), close: () => ours.close() };
    },
    peers: [
      {
        name: "Mitogen call_async",
        goal: { ratioAtMost: 0.2 },
        start: () => MitogenPeer.side("pipelined", PIPELINED),
      },
    ],
  },
  {
    what: `call through ${DEPTH} nested locals`,
    unit: "µs",
    per: NESTED,
    ours: async (library) => {
      const ours = new Ours(library);
      let child;
      for (let depth = 0; depth < DEPTH; depth++) child = await ours.warmChild(child && { via: child });
      return { run: () => oneByOne(NESTED, () => child.call(noop)), close: () => ours.close() };
    },
    peers: [
      {
        name: "Mitogen call",
        goal: { ratioAtMost: 0.5 },
        start: () => MitogenPeer.side("nested", DEPTH, NESTED),
      },
    ],
  },
];
