import { mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { CONFIG_NAMES } from "../../fleet/config/load-config.ts";
import { oneLine } from "../../text/harmless.ts";
import type { Command } from "../command.ts";
import { ExitStatus } from "../exit-status.ts";
import { UsageError } from "../usage-error.ts";

const CONFIG = `import { defineConfig } from "mitogen/fleet";

export default defineConfig({
  hosts: {
    // web1: { ssh: { username: "deploy" } },
    // db1: [{ ssh: { hostname: "10.0.0.5" } }, { sudo: {} }],
  },
  groups: {
    // Three contexts on this machine, to try things: --on @demo
    demo: "local:3",
  },
});
`;

const TASKS = `import { hostname, uptime } from "node:os";

/** Runs on each host. What it returns is shown here, and what it prints as well. */
export function hello(name = "world"): string {
  console.log(\`process \${process.pid} runs on node \${process.version}\`);
  return \`Hello \${name}! \${hostname()} is up for \${Math.round(uptime() / 3600)} hours\`;
}
`;

const FILES: Readonly<Record<string, string>> = { "mitogen.config.ts": CONFIG, "tasks.ts": TASKS };

export const command: Command = {
  name: "init",
  summary: "writes a config and a first task to start from",
  usage: ["[FOLDER]"],
  text: `Writes mitogen.config.ts and tasks.ts into the current folder, or into FOLDER. Their hosts are contexts on this machine, so \
you can run them at once:

    mitogen init
    mitogen run tasks.ts#hello --on @demo

Existing files are never overwritten.`,
  options: {},
  async run({ operands, out }) {
    const [folder = ".", ...others] = operands;
    if (others.length > 0) throw new UsageError("init takes one folder", "init");
    try {
      mkdirSync(folder, { recursive: true });
      const present = readdirSync(folder).filter(
        (name) => Object.hasOwn(FILES, name) || CONFIG_NAMES.includes(name),
      );
      if (present.length > 0)
        throw new UsageError(
          `There is already ${present.join(" and ")} in ${folder}; nothing was written`,
          "init",
        );
      writeAll(folder);
    } catch (error) {
      if (error instanceof UsageError) throw error;
      throw new UsageError(`Cannot write to ${folder}: ${(error as Error).message}`, "init");
    }
    const into = folder === "." ? "" : `cd ${folder} && `;
    // A package that npx runs need not be on the PATH. https://docs.npmjs.com/cli/commands/npm-exec
    const program = process.env["npm_command"] === "exec" ? "npx mitogen" : "mitogen";
    const start = `    ${oneLine(into)}${program}`;
    out.print(
      oneLine(`Wrote ${Object.keys(FILES).join(" and ")}. Try:`) +
        `\n\n${start} run tasks.ts#hello --on @demo\n${start} hosts --on @demo`,
    );
    return ExitStatus.Ok;
  },
};

/** All files or none. */
function writeAll(folder: string): void {
  const written: string[] = [];
  try {
    for (const [name, text] of Object.entries(FILES)) {
      writeFileSync(join(folder, name), text, { flag: "wx" });
      written.push(name);
    }
  } catch (error) {
    for (const name of written) rmSync(join(folder, name), { force: true });
    throw error;
  }
}
