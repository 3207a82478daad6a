// No-op calls one after the other: to a local child, and through nested ones.
import { fileURLToPath } from "node:url";
import { noop } from "../functions.mjs";
import { Ours, timed } from "../ours.mjs";
import { bareChain, bareThreads } from "../peers/bare.mjs";
import { ForkPeer } from "../peers/fork.mjs";
import { MitogenPeer } from "../peers/mitogen.mjs";

const SEQUENTIAL = 2_000;
const DEPTH = 10;
const NESTED = 200;
/** Stands for a connection to another machine: bytes pass through one more process. */
const PROXY = fileURLToPath(new URL("../../tests/support/delay-proxy.mjs", import.meta.url));
const THROUGH_PROXY = [process.execPath, PROXY, "--delay-ms", "0", "--"];

/** Milliseconds that `count` calls of `call` took, one after the other. */
const oneByOne = (count, call) =>
  timed(async () => {
    for (let at = 0; at < count; at++) await call();
  });

/** `connect` starts each context behind the one before it. */
const chain = (connect) => async (library) => {
  const ours = new Ours(library);
  let last;
  for (let depth = 0; depth < DEPTH; depth++) {
    last = await connect(ours.router, last && { via: last });
    await last.call(noop);
  }
  return { run: () => oneByOne(NESTED, () => last.call(noop)), close: () => ours.close() };
};

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
      { name: "floor: bare pipe echo", start: () => bareChain(SEQUENTIAL, 1) },
      { name: "floor: pipe, Worker, main thread, pipe", start: () => bareThreads(SEQUENTIAL) },
    ],
  },
  {
    what: `call through ${DEPTH} nested locals`,
    unit: "µs",
    per: NESTED,
    ours: chain((router, via) => router.local({ ...via })),
    peers: [
      {
        name: "Mitogen call",
        goal: { ratioAtMost: 0.5 },
        start: () => MitogenPeer.side("nested", DEPTH, NESTED),
      },
      { name: "floor: bare Node chain", start: () => bareChain(NESTED, DEPTH) },
    ],
  },
  {
    what: `call through ${DEPTH} nested contexts that are not local`,
    unit: "µs",
    per: NESTED,
    ours: chain((router, via) => router.exec({ command: THROUGH_PROXY, nodePath: process.execPath, ...via })),
    peers: [
      {
        name: "bare Node chain through the same proxies",
        goal: { ratioAtMost: 1.5 },
        start: () => bareChain(NESTED, DEPTH, THROUGH_PROXY),
      },
      {
        name: "floor: the same, each reads in a Worker",
        start: () => bareThreads(NESTED, DEPTH, THROUGH_PROXY),
      },
    ],
  },
];
