// Two more hosts, in network namespaces: `outer` is reachable from this machine, `inner` only from `outer`.
import { chmodSync, chownSync, mkdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { stateFolder } from "./places.mjs";
import { labFolder, run, writeIfChanged } from "./run.mjs";
import { hostKeyOf, startSshd, stopSshd } from "./sshd.mjs";

const FOLDER = join(stateFolder, "bastion");
const OUTER = "mitogen-lab-a";
const INNER = "mitogen-lab-b";
const OUTER_ADDRESS = "10.213.77.2";
const INNER_ADDRESS = "10.213.78.2";
const PORT = 22;

/** Name and address of each cable's two ends, and the namespace of each. An end without one is on this machine itself. */
const CABLES = [
  [
    { device: "mitogen-lab-0", address: "10.213.77.1/30" },
    { device: "outward", address: `${OUTER_ADDRESS}/30`, namespace: OUTER },
  ],
  [
    { device: "inward", address: "10.213.78.1/30", namespace: OUTER },
    { device: "outward", address: `${INNER_ADDRESS}/30`, namespace: INNER },
  ],
];

/** Without this, a machine with a default route would look for `inner` elsewhere. */
const NO_WAY = ["unreachable", "10.213.78.0/30"];

const HOSTS = {
  outer: { host: OUTER_ADDRESS, namespace: OUTER },
  inner: { host: INNER_ADDRESS, namespace: INNER },
};

/** Brings both up; lets every account go on from `outer` to `inner` with the lab's key. */
export async function bringUpBastion({ users, identityFile }) {
  const isNew = !(await isCabled());
  if (isNew) {
    await tearDownBastion();
    await layCables();
  }
  const lines = [];
  for (const [name, { host, namespace }] of Object.entries(HOSTS)) {
    const at = { host, port: PORT, folder: FOLDER, enter: enter(namespace) };
    await startSshd(name, { users, at });
    lines.push(`${host} ${hostKeyOf(name, FOLDER)}\n`);
  }
  const knownHosts = join(labFolder, "ssh", "bastion_known_hosts");
  writeIfChanged(knownHosts, lines.join(""));
  for (const user of users) giveKey(user, { identityFile, knownHosts: lines.join("") });
  const [outer, inner] = Object.values(HOSTS).map(({ host }) => ({ host, port: PORT }));
  return {
    outer,
    inner,
    knownHosts,
    note: `${OUTER_ADDRESS} → ${INNER_ADDRESS}${isNew ? "" : ", already up"}`,
  };
}

export async function tearDownBastion() {
  const notes = [];
  for (const name of Object.keys(HOSTS)) notes.push(await stopSshd(name, FOLDER));
  await run("ip", ["route", "delete", ...NO_WAY]).catch(() => "");
  await run("ip", ["link", "delete", CABLES[0][0].device]).catch(() => "");
  for (const { namespace } of Object.values(HOSTS)) {
    await run("ip", ["netns", "delete", namespace]).catch(() => "");
    rmSync(join("/run/netns", namespace), { force: true }); // A plain file, where /run outlived a reboot.
  }
  return `${notes.join(", ")}, namespaces deleted`;
}

function enter(namespace) {
  return ["nsenter", `--net=/run/netns/${namespace}`, "--"];
}

async function isCabled() {
  for (const { device, address, namespace } of CABLES.flat()) {
    const place = namespace ? ["-n", namespace] : [];
    const shown = await run("ip", [...place, "-4", "-br", "address", "show", "dev", device]).catch(() => "");
    if (!shown.includes(address)) return false;
  }
  return (await run("ip", ["route", "show", "type", NO_WAY[0]])).includes(NO_WAY[1]);
}

async function layCables() {
  await run("ip", ["route", "replace", ...NO_WAY]);
  for (const { namespace } of Object.values(HOSTS)) {
    await run("ip", ["netns", "add", namespace]);
    await run("ip", ["-n", namespace, "link", "set", "dev", "lo", "up"]);
    // The host forwards nothing: to get to `inner`, one must log in first.
    await run(enter(namespace)[0], [
      ...enter(namespace).slice(1),
      "sh",
      "-c",
      "echo 0 >/proc/sys/net/ipv4/ip_forward",
    ]);
  }
  for (const [near, far] of CABLES) {
    const peer = ["type", "veth", "peer", "name", far.device, "netns", far.namespace];
    const place = near.namespace ? ["-n", near.namespace] : [];
    await run("ip", [...place, "link", "add", "name", near.device, ...peer]);
    for (const { device, address, namespace } of [near, far]) {
      const at = namespace ? ["-n", namespace] : [];
      await run("ip", [...at, "address", "add", address, "dev", device]);
      await run("ip", [...at, "link", "set", "dev", device, "up"]);
    }
  }
}

function giveKey({ home }, { identityFile, knownHosts }) {
  const { uid, gid } = statSync(home);
  const folder = join(home, ".ssh");
  mkdirSync(folder, { recursive: true });
  const key = join(folder, "id_ed25519");
  const known = join(folder, "known_hosts");
  writeIfChanged(key, readFileSync(identityFile, "utf8"), 0o600);
  writeIfChanged(known, knownHosts, 0o600);
  chmodSync(key, 0o600);
  for (const path of [folder, key, known]) chownSync(path, uid, gid);
}
