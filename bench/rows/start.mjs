// From nothing to the first answer: local, over ssh, and many at once.
import { noop } from "../functions.mjs";
import { Ours, timed } from "../ours.mjs";
import { timeCommand } from "../peers/command.mjs";
import { MitogenPeer } from "../peers/mitogen.mjs";

const PARALLEL = 50;
const USER = "mitogen-dash";

let ours;
let peer;
let ssh;

async function setUp(startPeer, { lab = false } = {}) {
  if (lab) ssh = (await (await import("../../scripts/lab.mjs")).labUp()).ssh;
  ours = new Ours();
  peer = await startPeer?.();
}

async function tearDown() {
  await Promise.allSettled([ours?.close(), peer?.close()]);
  peer = undefined;
}

const overSsh = (router) =>
  router.ssh({
    hostname: ssh.host,
    port: ssh.port,
    username: USER,
    identityFile: ssh.identityFile,
    sshArgs: ["-F", ssh.config],
  });

async function startMany() {
  let children = [];
  const ms = await timed(async () => {
    const start = async () => {
      const child = await ours.router.local();
      await child.call(noop);
      return child;
    };
    children = await Promise.all(Array.from({ length: PARALLEL }, start));
  });
  await Promise.all(children.map((child) => child.shutdown({ wait: true })));
  return ms;
}

export const rows = [
  {
    name: "local() + first call",
    peer: "bare node -e 0",
    unit: "ms",
    pairs: 11,
    goal: { moreAtMost: 60 },
    setup: () => setUp(),
    runA: () => ours.timeStart((router) => router.local()),
    runB: () => timeCommand(process.execPath, ["-e", "0"]),
    teardown: tearDown,
  },
  {
    name: "local() + first call",
    peer: "Mitogen",
    unit: "ms",
    pairs: 11,
    goal: { ratioAtMost: 0.6 },
    setup: () => setUp(MitogenPeer.start),
    runA: () => ours.timeStart((router) => router.local()),
    runB: async () => (await peer.seconds("start")) * 1000,
    teardown: tearDown,
  },
  {
    name: "ssh() + first call, loopback",
    peer: "bare ssh host node -e 0",
    unit: "ms",
    pairs: 9,
    goal: { moreAtMost: 80 },
    setup: () => setUp(undefined, { lab: true }),
    runA: () => ours.timeStart(overSsh),
    runB: () => timeCommand("ssh", ["-F", ssh.config, USER, "node -e 0"]),
    teardown: tearDown,
  },
  {
    name: "ssh() + first call, loopback",
    peer: "Mitogen",
    unit: "ms",
    pairs: 9,
    goal: { ratioAtMost: 1 },
    setup: () => setUp(MitogenPeer.start, { lab: true }),
    runA: () => ours.timeStart(overSsh),
    runB: async () => {
      const words = [ssh.host, ssh.port, USER, ssh.identityFile, ssh.config];
      return (await peer.seconds("ssh", ...words)) * 1000;
    },
    teardown: tearDown,
  },
  {
    name: `${PARALLEL} locals in parallel, first call on each`,
    peer: "Mitogen",
    unit: "ms",
    pairs: 3,
    goal: { ratioAtMost: 0.33 },
    setup: () => setUp(MitogenPeer.start),
    runA: startMany,
    runB: async () => (await peer.seconds("parallel", PARALLEL)) * 1000,
    teardown: tearDown,
  },
];
