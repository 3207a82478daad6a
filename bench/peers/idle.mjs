// A bare node with an idle Worker, which is what a context is before it has anything to do.
import { spawn } from "node:child_process";
import { once } from "node:events";

export const IDLE_PROGRAM = `
const { Worker } = require("worker_threads");
new Worker("setInterval(() => {}, 1e6)", { eval: true }).on("online", () => console.log("online"));
process.stdin.on("end", () => process.exit()).resume();`;

export class IdleNode {
  #child = spawn(process.execPath, ["-e", IDLE_PROGRAM], { stdio: ["pipe", "pipe", "inherit"] });
  #ended = once(this.#child, "close");
  /** Resolves when the Worker runs. */
  online = once(this.#child.stdout, "data");

  get pid() {
    return this.#child.pid;
  }

  /** Closes what it reads from, and resolves when it has ended. */
  async close() {
    this.#child.stdin.end();
    await this.#ended;
  }
}
