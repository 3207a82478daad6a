// Node's own child_process.fork as a peer; run as a child, this file is the echo.
import { fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";

export class ForkPeer {
  #child = fork(fileURLToPath(import.meta.url), { serialization: "json" });
  #answered;

  constructor() {
    this.#child.on("message", () => this.#answered());
  }

  async echo() {
    await new Promise((resolve) => {
      this.#answered = resolve;
      this.#child.send({ fn: "noop", args: [] });
    });
  }

  async close() {
    const ended = once(this.#child, "exit");
    this.#child.disconnect();
    await ended;
  }
}

if (process.send && process.argv[1] === fileURLToPath(import.meta.url)) {
  process.on("message", (message) => process.send(message));
}
