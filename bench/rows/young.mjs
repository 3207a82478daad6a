// What a user waits for first: programs that have just started.
import { MitogenPeer } from "../peers/mitogen.mjs";
import { bareRpc } from "../peers/rpc.mjs";
import { youngBare, youngMitogen, youngProgram } from "../young.mjs";

const FIRST_CALLS = 500;
const BURST = 5_000;

const itself = (printed) => printed;

const firstScript = (env) => ({
  unit: "ms",
  pairs: 11,
  ours: (library) => youngProgram(library, "first-script.mjs", { env }),
  peers: [
    {
      name: "Mitogen",
      goal: { ratioAtMost: 0.55, cpuRatioAtMost: 0.75 },
      start: () => youngMitogen("first_script.py"),
    },
    {
      name: "floor: bare Node, one message to another and back",
      start: () => youngBare("bare-first-script.mjs"),
    },
  ],
});

/** The bursts from `first` to `last`, of which the first ever is 1. */
const bursts = (first, last, goal) => ({
  what: `pipelined no-op calls, ${first === last ? "first burst" : `bursts ${first} to ${last}`} of ${BURST} after ${FIRST_CALLS} calls`,
  unit: "µs",
  per: BURST * (last - first + 1),
  ours: (library) => {
    const args = [FIRST_CALLS, BURST, last].map(String);
    const sum = (found, key) => found.slice(first - 1).reduce((total, each) => total + each[key], 0);
    const pick = (found) => ({ value: sum(found, "value"), cpu: sum(found, "cpu") });
    return youngProgram(library, "bursts.mjs", { args, pick });
  },
  peers: [
    { name: "Mitogen call_async", goal, start: () => youngBursts(first, last) },
    {
      name: "floor: bare Node, a promise per call",
      start: async () => {
        const { run, close } = await bareRpc(BURST);
        const runAll = async () => {
          let ms = 0;
          for (let burst = first; burst <= last; burst++) ms += await run();
          return ms;
        };
        return { run: runAll, close };
      },
    },
  ],
});

export const rows = [
  {
    what: 'import "mitogen"',
    unit: "ms",
    pairs: 11,
    ours: (library) => youngProgram(library, "import.mjs", { pick: itself }),
    peers: [
      {
        name: "Mitogen: import mitogen.master, mitogen.utils",
        goal: { ratioAtMost: 0.8 },
        start: () => youngMitogen("import_mitogen.py", { pick: itself }),
      },
    ],
  },
  { what: "the whole first script, run before", ...firstScript({}) },
  { what: "the whole first script, nothing cached", ...firstScript({ MITOGEN_CACHE: "off" }) },
  {
    what: "the first call of a program",
    unit: "ms",
    pairs: 11,
    ours: (library) => youngProgram(library, "first-calls.mjs", { pick: ({ first }) => first }),
    peers: [
      {
        name: "its later first calls, in new contexts",
        goal: { moreAtMost: 20 },
        start: (library) => youngProgram(library, "first-calls.mjs", { pick: ({ later }) => later }),
      },
    ],
  },
  bursts(1, 1, { ratioAtMost: 0.6 }),
  bursts(5, 7, { ratioAtMost: 0.2 }),
];

/** A new process for every run, as ours. */
function youngBursts(first, last) {
  let peer;
  return {
    before: async () => {
      peer = await MitogenPeer.start();
      await peer.ms("calls", FIRST_CALLS);
      for (let burst = 1; burst < first; burst++) await peer.ms("pipelined", BURST);
    },
    run: async () => {
      let ms = 0;
      for (let burst = first; burst <= last; burst++) ms += await peer.ms("pipelined", BURST);
      return ms;
    },
    after: () => peer.close(),
    close: () => peer?.close(),
  };
}
