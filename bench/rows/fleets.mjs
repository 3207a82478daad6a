// The command line on many hosts at once: this machine's sshd under as many names. What sshd starts is not in the CPU
// time, so that this is the CPU of the controlling machine.
import { cpSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { fleetHosts } from "../fleet-hosts.mjs";
import { youngCli, youngCommand } from "../young.mjs";

const AT_ONCE = "32";
const TASK = fileURLToPath(new URL("../programs/fleet-task.mjs", import.meta.url));

/** Ours: `mitogen WORDS`. `before` and `after` are commands around the measured ones. */
async function mitogen(library, count, words, { before, after } = {}) {
  const { names, config } = await fleetHosts(count);
  const cli = youngCli(library);
  const hosts = Object.fromEntries(
    names.map((hostname) => [hostname, { ssh: { hostname, sshArgs: ["-F", config] } }]),
  );
  writeFileSync(join(cli.folder, "mitogen.config.json"), JSON.stringify({ hosts }));
  cpSync(TASK, join(cli.folder, "tasks.mjs"));
  if (before) await cli.run(before);
  return {
    run: () => cli.run(words),
    close: async () => {
      if (after) await cli.run(after);
    },
  };
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
  // No connection that outlives a run: each run pays for its logins, as everybody's here.
  const settings = [`ANSIBLE_SSH_ARGS=-F ${config} -o ControlMaster=no`, "ANSIBLE_HOST_KEY_CHECKING=0"];
  return youngCommand(["env", ...settings, "ansible", "all", "-i", inventory, "-f", AT_ONCE, ...words]);
}

async function fab(count, command) {
  const { names, config } = await fleetHosts(count);
  return youngCommand(["fab", "-S", config, "-H", names.join(","), "--", command]);
}

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
      // Starts no node there.
      { name: `xargs -P ${AT_ONCE} ssh … true`, goal: { ratioAtMost: 2 }, start: () => xargs(count, "true") },
      { name: "clush", goal: { ratioAtMost: 1.5 }, start: () => clush(count, "true") },
      // One host after the other: it has no other way.
      ...(count <= 20 ? [{ name: "fab", goal: { ratioAtMost: 1 }, start: () => fab(count, "true") }] : []),
    ],
  },
];

export const rows = [...rowsOf(1, 7), ...rowsOf(20, 3), ...rowsOf(50, 3)];
