// What a user waits for first: programs that have just started.
import { youngMitogen, youngProgram } from "../young.mjs";

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
];
