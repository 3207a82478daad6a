// From nothing to the first answer: local, over ssh, and many at once.
import { noop } from "../functions.mjs";
import { Ours, timed } from "../ours.mjs";
import { timeCommand } from "../peers/command.mjs";
import { MitogenPeer } from "../peers/mitogen.mjs";

const PARALLEL = 50;
const USER = "mitogen-dash";

export const rows = [
  {
    what: "local() + first call",
    unit: "ms",
    pairs: 11,
    ours: (library) => {
      const ours = new Ours(library);
      return { run: () => ours.timeStart((router) => router.local()), close: () => ours.close() };
    },
    peers: [
      {
        name: "Mitogen",
        goal: { ratioAtMost: 0.33, cpuRatioAtMost: 0.33 },
        start: () => MitogenPeer.side("start"),
      },
      {
        name: "bare node -e 0",
        goal: { ratioAtMost: 1.6 },
        start: () => ({ run: () => timeCommand(process.execPath, ["-e", "0"]) }),
      },
    ],
  },
  {
    what: "ssh() + first call, loopback",
    unit: "ms",
    pairs: 9,
    ours: async (library) => {
      const { host, port, identityFile, config } = await labSsh();
      const options = { hostname: host, port, username: USER, identityFile, sshArgs: ["-F", config] };
      const ours = new Ours(library);
      return { run: () => ours.timeStart((router) => router.ssh(options)), close: () => ours.close() };
    },
    peers: [
      {
        name: "bare ssh host node -e 0",
        goal: { ratioAtMost: 1.15 },
        start: async () => {
          const { config } = await labSsh();
          return { run: () => timeCommand("ssh", ["-F", config, USER, "node -e 0"]) };
        },
      },
      {
        name: "Mitogen",
        goal: { ratioAtMost: 1 },
        start: async () => {
          const { host, port, identityFile, config } = await labSsh();
          return await MitogenPeer.side("ssh", host, port, USER, identityFile, config);
        },
      },
    ],
  },
  {
    what: `${PARALLEL} locals in parallel, first call on each`,
    unit: "ms",
    pairs: 3,
    ours: (library) => {
      const ours = new Ours(library);
      let children = [];
      const connect = async () => {
        const child = await ours.router.local();
        await child.call(noop);
        return child;
      };
      return {
        run: () =>
          timed(async () => {
            children = await Promise.all(Array.from({ length: PARALLEL }, connect));
          }),
        after: () => Promise.all(children.map((child) => child.shutdown({ wait: true }))),
        close: () => ours.close(),
      };
    },
    peers: [
      {
        name: "Mitogen",
        goal: { ratioAtMost: 0.4, cpuRatioAtMost: 0.4 },
        start: () => MitogenPeer.side("parallel", PARALLEL),
      },
    ],
  },
];

async function labSsh() {
  const { labUp } = await import("../../scripts/lab.mjs");
  return (await labUp()).ssh;
}
