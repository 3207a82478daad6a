// Mitogen's side: a Python process that takes one command per line, see mitogen_peer.py.
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

export const PYTHON = "/usr/bin/python3";
const SCRIPT = fileURLToPath(new URL("mitogen_peer.py", import.meta.url));

/** Throws an error that says what to do if there is no Mitogen to compare with. */
export function requireMitogen() {
  if (spawnSync(PYTHON, ["-c", "import mitogen"]).status === 0) return;
  throw new Error("Mitogen is not installed: run `node scripts/lab.mjs up --peers` as root on Debian");
}

export class MitogenPeer {
  #process;
  #ended;
  #lines;

  static async start() {
    requireMitogen();
    const peer = new MitogenPeer();
    peer.#process = spawn(PYTHON, [SCRIPT], { stdio: ["pipe", "pipe", "inherit"] });
    peer.#ended = once(peer.#process, "exit");
    peer.#lines = createInterface({ input: peer.#process.stdout })[Symbol.asyncIterator]();
    await peer.#nextLine();
    return peer;
  }

  /** A command of mitogen_peer.py as a side of a row. */
  static async side(...words) {
    const peer = await MitogenPeer.start();
    return { run: () => peer.ms(...words), close: () => peer.close() };
  }

  /** Milliseconds that a command of mitogen_peer.py took. */
  async ms(...words) {
    this.#process.stdin.write(`${words.join("\t")}\n`);
    const answer = await this.#nextLine();
    if (answer.startsWith("error ")) throw new Error(`Mitogen, ${words[0]}: ${answer.slice(6)}`);
    return Number(answer) * 1000;
  }

  /** Safe to call twice. */
  async close() {
    this.#process.stdin.end();
    await this.#ended;
  }

  async #nextLine() {
    const { done, value } = await this.#lines.next();
    if (done) throw new Error("Mitogen's process ended early");
    return value;
  }
}
