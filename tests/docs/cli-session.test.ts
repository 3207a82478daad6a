/** The session of docs/cli.md, in a real terminal, on ten hosts of the lab's sshd. */
import assert from "node:assert/strict";
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { TerminalRun } from "../cli/screen-of.ts";
import { needsLab, repoRoot } from "../support/lab.ts";
import { checkLeaks } from "../support/leak-check.ts";

checkLeaks();

const PAGE = readFileSync(join(repoRoot, "docs/cli.md"), "utf8");
const ACCOUNTS = ["dash", "bash", "zsh", "fish", "tcsh", "bash", "dash"];

mkdirSync(join(repoRoot, "build"), { recursive: true });
// Inside the repository, where "mitogen" is this package.
const folder = mkdtempSync(join(repoRoot, "build", "cli-session-"));
after(() => rmSync(folder, { recursive: true, force: true }));

/** The snippet whose first line is this comment. */
function snippet(name: string): string {
  const found = new RegExp(`^\`\`\`ts\\n(// ${name.replace(".", "\\.")}\\n[\\s\\S]*?)^\`\`\`$`, "m").exec(
    PAGE,
  )?.[1];
  assert.ok(found !== undefined, `docs/cli.md has no ${name}`);
  return found;
}

/** The commands of the session with what they print. */
function session(): { line: string; printed: string }[] {
  const blocks = [...PAGE.matchAll(/^```console\n([\s\S]*?)^```$/gm)].map(([, text = ""]) => text);
  return blocks.flatMap((block) =>
    block
      .split(/^\$ /m)
      .slice(1)
      .map((part) => {
        const end = part.indexOf("\n");
        return { line: part.slice(0, end), printed: part.slice(end + 1).trimEnd() };
      }),
  );
}

/** Removes what differs between runs and machines. Lines of hosts come in any order, so callers sort the lines. */
function normal(text: string): string[] {
  const lines = text
    .replace(/\b\d+(\.\d+)?(ms|s| ms)\b/g, "TIME")
    .replace(/ +TIME/g, " TIME")
    .replace(/\b(10|127)(\.\d+){3}\b/g, "ADDRESS")
    .replace(/(\bport |ADDRESS )\d{1,5}\b/g, "$1PORT")
    .replace(/\b\d+ answers/g, "PORT answers")
    .replace(/OpenSSH_.*/g, "OpenSSH")
    .replace(/\(Linux \w+\)/g, "(PLATFORM)")
    .replace(/\bmitogen-\w+@/g, "deploy@")
    .split("\n")
    .map((line) => line.trimEnd());
  return lines;
}

test("the session of docs/cli.md prints what the page says, on ten hosts of which three are broken", {
  timeout: 180_000,
}, async (t) => {
  const lab = needsLab(t);
  if (lab === undefined) return;
  const { host, port, otherPort, identityFile, knownHosts } = lab.ssh;
  const entries = [
    ...ACCOUNTS.map((account, i) => `Host web${i + 1}\n  User mitogen-${account}`),
    "Host db1\n  User mitogen-bash\n  Port 1",
    `Host db2\n  User mitogen-bash\n  Port ${otherPort}`,
    "Host db3\n  User mitogen-nonode",
    `Host *\n  HostName ${host}\n  Port ${port}\n  IdentityFile ${identityFile}\n  IdentitiesOnly yes\n  UserKnownHostsFile ${knownHosts}`,
  ];
  writeFileSync(join(folder, "ssh_config"), `${entries.join("\n")}\n`);
  // Stands for ~/.ssh/config, which ssh finds by the account and not by HOME.
  mkdirSync(join(folder, "bin"));
  writeFileSync(
    join(folder, "bin/ssh"),
    `#!/bin/sh\nexec /usr/bin/ssh -F ${join(folder, "ssh_config")} "$@"\n`,
  );
  chmodSync(join(folder, "bin/ssh"), 0o755);
  for (const name of ["mitogen.config.ts", "tasks.ts"]) writeFileSync(join(folder, name), snippet(name));

  const commands = session();
  assert.ok(commands.length >= 6, "the session was found");
  for (const { line, printed } of commands) {
    const words = line.replace(/^mitogen /, "");
    assert.notEqual(words, line, line);
    const run = await TerminalRun.start(words, {
      cwd: folder,
      columns: 110,
      rows: 50,
      env: { PATH: `${join(folder, "bin")}:${process.env["PATH"]}`, XDG_STATE_HOME: join(folder, "state") },
    });
    try {
      const { shown, status } = await run.ended(true);
      const isWell = !/unreachable|failed|WRONG/.test(printed);
      assert.equal(status === 0, isWell, shown);
      const said = shown.slice(0, shown.lastIndexOf("\nstatus "));
      assert.deepEqual(normal(said).sort(), normal(printed).sort(), `$ ${line}\n${said}`);
    } finally {
      await run.close();
    }
  }
});
