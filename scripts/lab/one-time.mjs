// PAM stacks that ask more than one question: a password, and a code that changes.
import { randomBytes } from "node:crypto";
import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { publicFolder } from "./places.mjs";
import { writeIfChanged } from "./run.mjs";

/** sudo asks this account for the password and a verification code; su to it asks for the password and an OATH code. */
const BOTH = "mitogen-otp";
/** sudo asks this account only for a verification code. */
const CODE_ONLY = "mitogen-otp-only";

export const ONE_TIME_ACCOUNTS = [BOTH, CODE_ONLY];

/** The secret from which the codes are made, in base32, as authenticator apps take it. Readable by root only. */
const secretFile = join(publicFolder, "one-time-secret");
/** The file in which pam_oath counts the codes. A test writes it anew before each use. */
const oathFile = join(publicFolder, "one-time-oath");

const BEGIN = "# mitogen lab: begin";
const END = "# mitogen lab: end";
const PASSWORD = "@include common-auth";
const google = `pam_google_authenticator.so secret=${secretFile} user=root allowed_perm=0600`;
const oath = `pam_oath.so usersfile=${oathFile} window=5 digits=6`;
/** A rule that goes on with the next line for that account, and skips it for all others. */
const only = (account) => `auth [success=ignore default=1] pam_succeed_if.so quiet user = ${account}`;

const SERVICES = {
  sudo: {
    before: [only(CODE_ONLY), `auth [success=done default=die] ${google}`],
    after: [only(BOTH), `auth required ${google}`],
  },
  su: { before: [], after: [only(BOTH), `auth required ${oath}`] },
};

/** Writes the secret and PAM's rules. Returns what lab.json says, and whether anything was written. */
export function setUpOneTime() {
  if (!existsSync(secretFile)) {
    const options = ['" WINDOW_SIZE 9', '" TOTP_AUTH'];
    writeIfChanged(secretFile, `${[base32(randomBytes(20)), ...options].join("\n")}\n`, 0o600);
  }
  const changed = Object.entries(SERVICES).map(([service, rules]) => writeRules(service, rules));
  return {
    told: { secretFile, oathFile, both: BOTH, codeOnly: CODE_ONLY },
    hasChanged: changed.some(Boolean),
  };
}

/** Keeps the text around the lab's own lines. The file is renamed into place, because other tests use sudo meanwhile. */
function writeRules(service, { before, after }) {
  const path = `/etc/pam.d/${service}`;
  const current = readFileSync(path, "utf8");
  const around = current.replace(new RegExp(`${BEGIN}\n[^]*?${END}\n`, "g"), "");
  const block = (lines) => (lines.length === 0 ? "" : `${[BEGIN, ...lines, END].join("\n")}\n`);
  if (!around.includes(`\n${PASSWORD}\n`)) throw new Error(`${path} is not Debian's: it has no ${PASSWORD}`);
  const text = around.replace(`\n${PASSWORD}\n`, `\n${block(before)}${PASSWORD}\n${block(after)}`);
  if (text === current) return false;
  writeFileSync(`${path}.mitogen`, text, { mode: 0o644 });
  renameSync(`${path}.mitogen`, path);
  return true;
}

function base32(bytes) {
  const bits = [...bytes].map((byte) => byte.toString(2).padStart(8, "0")).join("");
  return bits
    .match(/.{5}/g)
    .map((five) => "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"[Number.parseInt(five, 2)])
    .join("");
}
