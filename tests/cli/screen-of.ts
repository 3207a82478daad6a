import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { promisify } from "node:util";
import { quoteForSh } from "../../src/text/shell-quote.ts";
import { CLI, cleanEnvironment } from "./run-cli.ts";

const exec = promisify(execFile);
/** How long a busy machine may take. A test that needs all of it fails. */
const PATIENCE_MS = 60_000;

/** `mitogen` in a real terminal: one of tmux. */
export class TerminalRun {
  readonly #folder: string = mkdtempSync(join(tmpdir(), "mitogen-screen-"));
  readonly #cwd: string;

  private constructor(cwd: string) {
    this.#cwd = cwd;
  }

  /** Runs the command, words or a line for sh, in a terminal of that size. */
  static async start(
    words: readonly string[] | string,
    options: {
      cwd: string;
      columns?: number;
      rows?: number;
      env?: NodeJS.ProcessEnv;
      before?: string;
      after?: string;
    },
  ): Promise<TerminalRun> {
    const run = new TerminalRun(options.cwd);
    const {
      columns = 80,
      rows = 24,
      env = {},
      before = "stty -a > stty-before",
      after = "stty -a > stty-after",
    } = options;
    const given = typeof words === "string" ? words : words.map(quoteForSh).join(" ");
    const command = `${[process.execPath, CLI].map(quoteForSh).join(" ")} ${given}`;
    const assignments = Object.entries(env).map(([name, value]) => `${name}=${quoteForSh(value ?? "")}`);
    const inFolder = (text: string): string => text.replace(/stty-(\w+)/, (name) => join(run.#folder, name));
    // The pane stays until the test has looked at it.
    // Ctrl-C ends the program, not this script.
    const script = `trap : INT; ${inFolder(before)}; env ${assignments.join(" ")} ${command}; echo "status $?"; ${inFolder(after)}; echo over > ${run.#folder}/over; exec cat`;
    await run.tmux([
      "-f",
      "/dev/null",
      "new-session",
      "-d",
      "-s",
      "run",
      "-x",
      String(columns),
      "-y",
      String(rows),
      "-c",
      run.#cwd,
      "sh",
      "-c",
      script,
    ]);
    return run;
  }

  /** The lines of the screen; with `history` also those that have left it; with `isJoined` as long as they were written. */
  async screen(history = false, isJoined = false): Promise<string> {
    const { stdout } = await this.tmux([
      ...["capture-pane", "-p", "-t", "run"],
      ...(history ? ["-S", "-"] : []),
      ...(isJoined ? ["-J"] : []),
    ]);
    return stdout.replace(/ +$/gm, "").trimEnd();
  }

  /** The screen and its history, with the escape sequences of colours. */
  async colours(): Promise<string> {
    return (await this.tmux(["capture-pane", "-p", "-e", "-t", "run", "-S", "-"])).stdout;
  }

  /** Waits until the screen matches `what`. Returns the screen. */
  async see(what: RegExp, history = false): Promise<string> {
    const until = Date.now() + PATIENCE_MS;
    for (;;) {
      const shown = await this.screen(history);
      if (what.test(shown)) return shown;
      if (Date.now() > until) throw new Error(`The screen never showed ${what}, but:\n${shown}`);
      await pause(30);
    }
  }

  /** Waits for the end of the program; returns its exit status and all it printed. */
  async ended(
    isJoined = false,
  ): Promise<{ status: number; shown: string; cursor: boolean; stty: [string, string] }> {
    await this.see(/^(?:\^C)*status \d+$/m);
    const until = Date.now() + PATIENCE_MS;
    while (!this.#has("over")) {
      if (Date.now() > until) throw new Error("The terminal's program did not end");
      await pause(20);
    }
    const shown = await this.screen(true, isJoined);
    return {
      status: Number(/^(?:\^C)*status (\d+)$/m.exec(shown)?.[1]),
      shown,
      cursor: await this.hasCursor(),
      stty: [this.#read("stty-before"), this.#read("stty-after")],
    };
  }

  /** Whether the cursor is shown. */
  async hasCursor(): Promise<boolean> {
    const { stdout } = await this.tmux(["display-message", "-p", "-t", "run", "#{cursor_flag}"]);
    return stdout.trim() === "1";
  }

  /** Presses keys, as tmux names them: `C-c`, `Enter`, or text. */
  async press(...keys: string[]): Promise<void> {
    await this.tmux(["send-keys", "-t", "run", ...keys]);
  }

  async resize(columns: number, rows: number): Promise<void> {
    await this.tmux(["resize-window", "-t", "run", "-x", String(columns), "-y", String(rows)]);
  }

  /** The program's process. */
  async pid(): Promise<number> {
    const { stdout } = await this.tmux(["display-message", "-p", "-t", "run", "#{pane_pid}"]);
    const { stdout: children } = await exec("ps", ["-o", "pid=,args=", "--ppid", stdout.trim()]);
    const line = children.split("\n").find((each) => each.includes(CLI)) ?? "";
    return Number(line.trim().split(" ")[0]);
  }

  async close(): Promise<void> {
    await this.tmux(["kill-server"]).catch(() => undefined);
    rmSync(this.#folder, { recursive: true, force: true });
  }

  #has(name: string): boolean {
    return this.#read(name) !== "";
  }

  #read(name: string): string {
    try {
      return readFileSync(join(this.#folder, name), "utf8");
    } catch {
      return "";
    }
  }

  private tmux(args: readonly string[]): Promise<{ stdout: string; stderr: string }> {
    const env = { ...cleanEnvironment(), LC_ALL: "C.UTF-8", TERM: "xterm-256color" };
    delete (env as Record<string, unknown>)["TMUX"];
    return exec("tmux", ["-u", "-S", join(this.#folder, "tmux"), ...args], { env });
  }
}
