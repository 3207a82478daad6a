// sudo, su and doas: accounts that may become another, each under other rules.
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { ONE_TIME_ACCOUNTS, setUpOneTime } from "./one-time.mjs";
import { publicFolder } from "./places.mjs";
import { run, writeIfChanged } from "./run.mjs";

/** The password of every account below, and of root and app inside the containers. Readable by root only. */
export const becomePasswordFile = join(publicFolder, "become-password");

const SHELL = "/bin/bash";
const PASSWORD = { file: becomePasswordFile };

/** `password` is set on all of them; only `mitogen-sudo-pw` may log in with it. */
export const BECOME_ACCOUNTS = [
  { name: "mitogen-sudo-nopw", shell: SHELL, password: PASSWORD },
  { name: "mitogen-sudo-pw", shell: SHELL, password: { ...PASSWORD, login: "both" } },
  { name: "mitogen-sudo-tty", shell: SHELL, password: PASSWORD },
  { name: "mitogen-sudo-pty", shell: SHELL, password: PASSWORD },
  { name: "mitogen-sudo-denied", shell: SHELL, password: PASSWORD },
  { name: "mitogen-doas-pw", shell: SHELL, password: PASSWORD },
  { name: "mitogen-doas-nopw", shell: SHELL, password: PASSWORD },
  { name: "mitogen-target", shell: SHELL, password: PASSWORD },
  ...ONE_TIME_ACCOUNTS.map((name) => ({ name, shell: SHELL, password: PASSWORD })),
];

const SUDOERS = "/etc/sudoers.d/mitogen-lab";
const DOAS_CONF = "/etc/doas.conf";
const BEGIN = "# mitogen lab: begin";
const END = "# mitogen lab: end";

/** Writes the rules of sudo and doas. Returns what lab.json says. */
export async function setUpBecome({ node }) {
  const path = `${dirname(node)}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin`;
  const oneTime = setUpOneTime();
  const changed = [await writeSudoers(path), await writeDoasConf(path), oneTime.hasChanged];
  const tools = {
    sudo: "/usr/bin/sudo",
    su: "/usr/bin/su",
    doas: "/usr/bin/doas",
    script: "/usr/bin/script",
  };
  const note = changed.some(Boolean) ? "the rules of sudo, doas and PAM written" : "unchanged";
  return { passwordFile: becomePasswordFile, target: "mitogen-target", tools, oneTime: oneTime.told, note };
}

/** The password's hash, as crypt(3) wrote it, for the containers' own shadow file. */
export async function becomePasswordHash() {
  return (await run("getent", ["shadow", "mitogen-target"])).split(":")[1];
}

async function writeSudoers(path) {
  // No remembered passwords, so that every run meets the same prompts; node must be on secure_path, for
  // root's sudo too.
  const text = `# Written by the mitogen test lab.
User_Alias MITOGEN_LAB = mitogen-sudo-nopw, mitogen-sudo-pw, mitogen-sudo-tty, mitogen-sudo-pty, mitogen-sudo-denied, ${ONE_TIME_ACCOUNTS.join(", ")}
Defaults:MITOGEN_LAB timestamp_timeout=0, lecture=never, !mail_badpass, !mail_no_user
Defaults:MITOGEN_LAB secure_path="${path}"
Defaults>mitogen-target secure_path="${path}"
Defaults:mitogen-sudo-tty requiretty, !use_pty
Defaults:mitogen-sudo-pty use_pty, pwfeedback, lecture=always
mitogen-sudo-nopw ALL=(root, mitogen-target) NOPASSWD: ALL
mitogen-sudo-pw ALL=(ALL:ALL) ALL
mitogen-sudo-tty ALL=(ALL:ALL) ALL
mitogen-sudo-pty ALL=(ALL:ALL) ALL
${ONE_TIME_ACCOUNTS.map((name) => `${name} ALL=(ALL:ALL) ALL`).join("\n")}
`;
  const before = existsSync(SUDOERS) ? readFileSync(SUDOERS, "utf8") : undefined;
  if (before === text) return false;
  await run("visudo", ["-c", "-q", "-f", "-"], { input: text });
  writeIfChanged(SUDOERS, text, 0o440);
  await run("visudo", ["-c", "-q"]);
  return true;
}

/** Keeps the text around the lab's own block. The last rule that matches wins. */
async function writeDoasConf(path) {
  const before = existsSync(DOAS_CONF) ? readFileSync(DOAS_CONF, "utf8") : "";
  const around = before.replace(new RegExp(`${BEGIN}[^]*?${END}\n`), "");
  const environment = `setenv { PATH=${path} }`;
  const rules = [`permit ${environment} mitogen-doas-pw`, `permit nopass ${environment} mitogen-doas-nopw`];
  const text = `${around}${BEGIN}\n${rules.join("\n")}\n${END}\n`;
  if (text === before) return false;
  writeFileSync(DOAS_CONF, text, { mode: 0o600 });
  await run("doas", ["-C", DOAS_CONF]);
  return true;
}
