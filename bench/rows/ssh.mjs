// From nothing to the first answer over ssh, to this machine: one host and many at once. The CPU time leaves out
// what sshd starts.
import { labSsh } from "../lab.mjs";
import { Ours } from "../ours.mjs";
import { timeCommand } from "../peers/command.mjs";
import { MitogenPeer } from "../peers/mitogen.mjs";
import { youngCommand, youngProgram } from "../young.mjs";

const HOSTS = 20;
/**
 * sshd drops some logins from the eleventh at once on. So half of the hosts are at the lab's other daemon, which
 * has another key.
 */
const ANY_KEY = [
  "-o",
  "StrictHostKeyChecking=no",
  "-o",
  "UserKnownHostsFile=/dev/null",
  "-o",
  "LogLevel=ERROR",
];
const portsOf = ({ port, otherPort }) =>
  Array.from({ length: HOSTS }, (_, at) => (at % 2 ? port : otherPort));

const WITH_WORKER = `new (require("worker_threads").Worker)("0", { eval: true })`;

/** A side that runs a command on all hosts at once. */
async function sshToAll(command) {
  const lab = await labSsh();
  const ssh = ["ssh", ...lab.args, ...ANY_KEY, "-p", "{}", lab.account.name, command];
  const script = `ports=$1; shift; printf "%s\\n" $ports | xargs -P ${HOSTS} -I "{}" "$@"`;
  return youngCommand(["sh", "-c", script, "sh", portsOf(lab).join(" "), ...ssh]);
}

export const rows = [
  {
    what: "ssh() + first call, loopback",
    unit: "ms",
    pairs: 9,
    ours: async (library) => {
      const { options } = await labSsh();
      const ours = new Ours(library);
      return { run: () => ours.timeStart((router) => router.ssh(options)), close: () => ours.close() };
    },
    peers: [
      {
        name: "bare ssh host node -e 0",
        goal: { ratioAtMost: 1.15 },
        start: async () => {
          const { args, account } = await labSsh();
          return { run: () => timeCommand("ssh", [...args, account.name, "node -e 0"]) };
        },
      },
      {
        name: "Mitogen",
        goal: { ratioAtMost: 1 },
        start: async () => {
          const { host, port, account, identityFile, config } = await labSsh();
          return await MitogenPeer.side("ssh", host, port, account.name, identityFile, config);
        },
      },
    ],
  },
  {
    what: `a program that calls ${HOSTS} ssh hosts at once, loopback`,
    unit: "ms",
    pairs: 5,
    ours: async (library) => {
      const lab = await labSsh();
      const options = { ...lab.options, checkHostKeys: "ignore" };
      const args = portsOf(lab).map((port) => JSON.stringify({ ...options, port }));
      return youngProgram(library, "ssh-hosts.mjs", { args });
    },
    peers: [
      {
        name: `xargs -P ${HOSTS} ssh … node -e 0`,
        goal: { ratioAtMost: 1.25 },
        start: () => sshToAll("node -e 0"),
      },
      {
        name: "floor: the same, each node with a Worker",
        start: () => sshToAll(`node -e '${WITH_WORKER}'`),
      },
    ],
  },
];
