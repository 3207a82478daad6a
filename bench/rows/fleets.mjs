// The command line on many hosts at once: an sshd of this machine under many names. The CPU time leaves out what sshd
// starts, so that it is that of the controlling machine.
import { cpSync, mkdtempSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { fleetHosts } from "../fleet-hosts.mjs";
import { youngCli, youngCommand } from "../young.mjs";

const AT_ONCE = "32";
const TASK = fileURLToPath(new URL("../programs/fleet-task.mjs", import.meta.url));

/** Ours, in a folder whose inventory has `count` hosts. */
async function program(library, count) {
  const { names, config } = await fleetHosts(count);
  const cli = youngCli(library);
  const hosts = Object.fromEntries(
    names.map((hostname) => [hostname, { ssh: { hostname, sshArgs: ["-F", config] } }]),
  );
  writeFileSync(join(cli.folder, "mitogen.config.json"), JSON.stringify({ hosts }));
  cpSync(TASK, join(cli.folder, "tasks.mjs"));
  return cli;
}

/** Ours: `mitogen WORDS`. `before` and `after` are commands around the measured ones. */
async function mitogen(library, count, words, { before, after } = {}) {
  const cli = await program(library, count);
  if (before) await cli.perform(before);
  return {
    run: () => cli.run(words),
    close: async () => {
      if (after) await cli.perform(after);
    },
  };
}

/** By how much the program's memory grows with each host, in MiB. */
async function memoryPerHost(library, few, many) {
  const [small, large] = [await program(library, few), await program(library, many)];
  return { run: async () => ((await large.peak(RUN)) - (await small.peak(RUN))) / (many - few) };
}

const ON = ["--on", "@all", "--parallel", AT_ONCE];
const RUN = ["run", "tasks.mjs#noop", ...ON];

async function xargs(count, command) {
  const { names, config } = await fleetHosts(count);
  const script = `names=$1; shift; printf "%s\\n" $names | xargs -P ${AT_ONCE} -I "{}" "$@"`;
  return youngCommand(["sh", "-c", script, "sh", names.join(" "), "ssh", "-F", config, "{}", command]);
}

async function clush(count, command) {
  const { names, config } = await fleetHosts(count);
  return youngCommand(["clush", "-S", "-f", AT_ONCE, "-o", `-F ${config}`, "-w", names.join(","), command]);
}

async function ansible(count, ...words) {
  const { names, config, account, folder } = await fleetHosts(count);
  const inventory = join(folder, `inventory-${count}`);
  const python = "ansible_python_interpreter=/usr/bin/python3";
  writeFileSync(inventory, names.map((name) => `${name} ansible_user=${account.name} ${python}\n`).join(""));
  // As it comes, with one login for the commands of a run, but these connections end before the next run, which pays for
  // its logins like everybody's here.
  const connections = mkdtempSync(join(folder, "cp-"));
  const settings = [
    `ANSIBLE_SSH_ARGS=-F ${config} -C -o ControlMaster=auto -o ControlPersist=1s`,
    `ANSIBLE_SSH_CONTROL_PATH_DIR=${connections}`,
    "ANSIBLE_HOST_KEY_CHECKING=0",
  ];
  return youngCommand(["env", ...settings, "ansible", "all", "-i", inventory, "-f", AT_ONCE, ...words]);
}

async function fab(count, command) {
  const { names, config } = await fleetHosts(count);
  return youngCommand(["fab", "-S", config, "-H", names.join(","), "--", command]);
}

/** A context needs a Worker, because otherwise a function that hangs would hold up its end. */
const NODE_WITH_WORKER = `node -e '
  const idle = "require(\\"worker_threads\\").parentPort.on(\\"message\\", () => {})";
  new (require("worker_threads").Worker)(idle, { eval: true }).on("online", () => process.exit());
'`;

const hosts = (count) => `${count} ssh ${count === 1 ? "host" : "hosts"}`;

const rowsOf = (count, pairs) => [
  {
    what: `mitogen run of a function on ${hosts(count)}, loopback`,
    unit: "ms",
    pairs,
    ours: (library) => mitogen(library, count, RUN),
    peers: [
      {
        name: `xargs -P ${AT_ONCE} ssh … node -e 0`,
        goal: { ratioAtMost: 1.3 },
        start: () => xargs(count, "node -e 0"),
      },
      {
        name: "ansible -m raw",
        goal: { ratioAtMost: 0.7 },
        start: () => ansible(count, "-m", "raw", "-a", "true"),
      },
      {
        name: "ansible -m command",
        goal: { ratioAtMost: 0.2 },
        start: () => ansible(count, "-m", "command", "-a", "true"),
      },
      { name: "floor: xargs, each node with a Worker", start: () => xargs(count, NODE_WITH_WORKER) },
    ],
  },
  {
    what: "mitogen run after mitogen up",
    unit: "ms",
    pairs,
    ours: (library) => mitogen(library, count, RUN, { before: ["up", ...ON], after: ["down"] }),
    peers: [
      {
        name: `xargs -P ${AT_ONCE} ssh … node -e 0, ${hosts(count)}`,
        goal: { ratioAtMost: 0.25 },
        start: () => xargs(count, "node -e 0"),
      },
    ],
  },
  {
    what: `mitogen exec -- true on ${hosts(count)}, loopback`,
    unit: "ms",
    pairs,
    ours: (library) => mitogen(library, count, ["exec", ...ON, "--", "true"]),
    peers: [
      // Starts no node on the hosts.
      { name: `xargs -P ${AT_ONCE} ssh … true`, goal: { ratioAtMost: 2 }, start: () => xargs(count, "true") },
      { name: "clush", goal: { ratioAtMost: 1.5 }, start: () => clush(count, "true") },
      // fab can only take one host after the other.
      ...(count <= 20 ? [{ name: "fab", goal: { ratioAtMost: 1 }, start: () => fab(count, "true") }] : []),
    ],
  },
];

export const rows = [
  ...rowsOf(1, 7),
  ...rowsOf(10, 3),
  ...rowsOf(20, 3),
  ...rowsOf(50, 3),
  {
    what: "memory of mitogen run per ssh host, 50 hosts less 10",
    unit: "MiB",
    pairs: 3,
    ours: (library) => memoryPerHost(library, 10, 50),
    peers: [{ name: "–", goal: { atMost: 2 } }],
  },
];
