import assert from "node:assert/strict";
import { once } from "node:events";
import { after, before, describe, it } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { ToolProcess } from "../../../src/connection/children/tool-process.ts";
import {
  busybox,
  fedByPipe,
  findTerminal,
  python,
  type Terminal,
  utilLinux,
} from "../../../src/connection/prompts/terminal.ts";
import { sampleOf } from "../../support/extent.ts";
import { checkLeaks } from "../../support/leak-check.ts";

// Neither a tool nor a connect keeps a program alive, so this timer does. It ends before the leak check, which
// looks at timers too.
let hold: NodeJS.Timeout;
before(() => {
  hold = setInterval(() => undefined, 60_000);
});
after(() => clearInterval(hold));

checkLeaks();

async function run(
  terminal: Terminal,
  script: string,
  input: Buffer,
): Promise<[data: Buffer, screen: string]> {
  const tool = new ToolProcess(["sh", "-c", script, "it's"], { terminal });
  const read = (stream: NodeJS.ReadableStream): Buffer[] => {
    const chunks: Buffer[] = [];
    stream.on("data", (chunk) => chunks.push(chunk));
    return chunks;
  };
  const data = read(tool.stdout);
  const screen = read(tool.promptOut);
  tool.stdin.end(input);
  tool.promptIn.write("typed\n");
  await tool.drained();
  return [Buffer.concat(data), Buffer.concat(screen).toString()];
}

for (const terminal of sampleOf(2, [utilLinux, python, { ...fedByPipe(python), name: "fed by a pipe" }])) {
  describe(terminal.name, () => {
    it("gives the tool a terminal to ask on, and leaves its data alone", async () => {
      const bytes = Buffer.from([0, 1, 2, 3, 4, 10, 13, 17, 19, 26, 28, 127, 128, 255]);
      const script = 'read line </dev/tty; echo "$0 read $line" >/dev/tty; echo complaint >&2; cat';
      const [data, screen] = await run(terminal, script, bytes);
      assert.deepEqual(data, bytes);
      assert.match(screen, /it's read typed\r?\n/);
      assert.match(screen, /complaint/);
    });

    it("passes on the tool's exit code", async () => {
      const tool = new ToolProcess(["sh", "-c", "exit 7"], { terminal });
      await tool.drained();
      assert.deepEqual(tool.exit, { code: 7, signal: null });
    });

    it("keeps SHELL as it is in the environment", async () => {
      const shell = process.env.SHELL;
      process.env.SHELL = "/bin/it's fish";
      try {
        const [data] = await run(terminal, 'echo "$SHELL"', Buffer.alloc(0));
        assert.equal(data.toString(), "/bin/it's fish\n");
        delete process.env.SHELL;
        assert.equal((await run(terminal, `echo "\${SHELL-none}"`, Buffer.alloc(0)))[0].toString(), "none\n");
      } finally {
        if (shell !== undefined) process.env.SHELL = shell;
      }
    });

    it("does not hang up on the tool when nobody types any more", async () => {
      const tool = new ToolProcess(["sh", "-c", "read line; sleep 0.2; echo alive"], { terminal });
      const [line] = await Promise.all([
        once(tool.stdout, "data"),
        (async () => {
          tool.promptIn.end();
          await pause(100);
          tool.stdin.write("data\n");
        })(),
      ]);
      assert.equal(String(line), "alive\n");
      await tool.drained();
      assert.deepEqual(tool.exit, { code: 0, signal: null });
    });

    it("ends, with the tool, when its input streams are closed", async () => {
      const tool = new ToolProcess(["sh", "-c", "read line </dev/tty; cat"], { terminal });
      tool.hangUp();
      await tool.end(500);
      assert.notEqual(tool.exit, undefined);
    });
  });
}

it("busybox has other flags", () => {
  assert.deepEqual(busybox.wrap(["true"]).slice(4, 6), ["script", "-qfc"]);
});

it("findTerminal knows the script of this machine, and says what is missing if there is none", async () => {
  const path = process.env.PATH;
  process.env.PATH = "/nonexistent";
  try {
    await assert.rejects(findTerminal(), { code: "ERR_STREAM", message: /install script .* or python3/ });
  } finally {
    process.env.PATH = path;
  }
  assert.equal(await findTerminal(), utilLinux);
});

it("a tool without a terminal finds none, not even that of this program", async () => {
  const tool = new ToolProcess(["sh", "-c", "exec 2>&1; (: </dev/tty) || echo none"]);
  let printed = "";
  tool.stdout.on("data", (chunk) => {
    printed += chunk;
  });
  await tool.drained();
  assert.match(printed, /none|No such device/);
});
