// What many contexts cost the program itself: its CPU time, not that of the children.
import { labSsh } from "../lab.mjs";
import { youngBare, youngProgram } from "../young.mjs";

const STARTED = 10;
const CALLED = 100;

const many = (library, part, args) =>
  youngProgram(library, "many.mjs", { args: args.map(String), pick: (printed) => printed[part] });

export const rows = [
  {
    what: `the program's CPU per connect and first call, its first ${STARTED} locals at once`,
    unit: "ms",
    ours: (library) => many(library, "connect", [STARTED]),
    peers: [
      { name: "–", goal: { atMost: 6 } },
      {
        name: "floor: bare Node children, a message each",
        start: () => youngBare("bare-many.mjs", { args: [String(STARTED)], pick: ({ connect }) => connect }),
      },
    ],
  },
  {
    what: `the program's CPU per connect and first call, its first ${STARTED} ssh hosts at once, loopback`,
    unit: "ms",
    pairs: 5,
    ours: async (library) => {
      const { options } = await labSsh();
      return many(library, "connect", [STARTED, JSON.stringify(options)]);
    },
    peers: [
      { name: "–", goal: { atMost: 6 } },
      {
        name: "floor: bare Node over ssh, a message each",
        start: async () => {
          const { args, account } = await labSsh();
          const words = [String(STARTED), "ssh", ...args, account.name];
          return youngBare("bare-many.mjs", { args: words, pick: ({ connect }) => connect });
        },
      },
    ],
  },
  {
    what: `the program's CPU per call, one to each of ${CALLED} contexts`,
    unit: "µs",
    pairs: 3,
    ours: (library) => many(library, "call", [CALLED]),
    peers: [
      { name: "–", goal: { atMost: 60 } },
      {
        name: "floor: bare Node children, a message to each and back",
        start: () => youngBare("bare-many.mjs", { args: [String(CALLED)], pick: ({ call }) => call }),
      },
    ],
  },
];
