// From nothing to the first answer on this machine, with one context and with many at once; and from there to the end of
// all.
import { Ours, timed } from "../ours.mjs";
import { timeCommand } from "../peers/command.mjs";
import { IdleNode } from "../peers/idle.mjs";
import { MitogenPeer } from "../peers/mitogen.mjs";

const PARALLEL = 50;

const timeBareNode = () => timeCommand(process.execPath, ["-e", "0"]);

/** Until the Workers of bare nodes run. Their end is not in the time, but in the CPU time. */
async function timeIdleNodes(count) {
  const nodes = [];
  const ms = await timed(async () => {
    for (let at = 0; at < count; at++) nodes.push(new IdleNode());
    await Promise.all(nodes.map((node) => node.online));
  });
  await Promise.all(nodes.map((node) => node.close()));
  return ms;
}

const shutdownOf = (count) => ({
  what: `shutdown of ${count} locals, per context`,
  unit: "ms",
  per: count,
  pairs: 3,
  ours: (library) => {
    let ours;
    return {
      before: async () => {
        ours = new Ours(library);
        await Promise.all(Array.from({ length: count }, () => ours.warmChild()));
      },
      run: () => timed(() => ours.close()),
      close: () => ours?.close(),
    };
  },
  peers: [
    { name: "–", goal: { atMost: 12, cpuAtMost: 2 } },
    {
      name: "floor: the end of bare nodes, each with a Worker",
      start: () => {
        let nodes = [];
        const close = () => Promise.all(nodes.map((node) => node.close()));
        return {
          before: async () => {
            nodes = Array.from({ length: count }, () => new IdleNode());
            await Promise.all(nodes.map((node) => node.online));
          },
          run: () => timed(close),
          close,
        };
      },
    },
  ],
});

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
      { name: "bare node -e 0", goal: { ratioAtMost: 1.6 }, start: () => ({ run: timeBareNode }) },
      { name: "floor: bare node with a Worker", start: () => ({ run: () => timeIdleNodes(1) }) },
    ],
  },
  {
    what: `${PARALLEL} locals in parallel, first call on each`,
    unit: "ms",
    pairs: 3,
    ours: (library) => {
      const ours = new Ours(library);
      const connectAll = () => Promise.all(Array.from({ length: PARALLEL }, () => ours.warmChild()));
      return {
        run: async () => {
          let children;
          const ms = await timed(async () => {
            children = await connectAll();
          });
          // Not in the time, but in the CPU time: the peer ends its children during its run, too.
          await Promise.all(children.map((child) => child.shutdown({ wait: true })));
          return ms;
        },
        close: () => ours.close(),
      };
    },
    peers: [
      {
        name: "Mitogen",
        goal: { ratioAtMost: 0.4, cpuRatioAtMost: 0.4 },
        start: () => MitogenPeer.side("parallel", PARALLEL),
      },
      {
        name: `floor: ${PARALLEL} bare nodes, each with a Worker`,
        start: () => ({ run: () => timeIdleNodes(PARALLEL) }),
      },
    ],
  },
  shutdownOf(50),
  shutdownOf(200),
];
