import { History } from "../../bootstrap/history.ts";
import { payloadBytes } from "../../bootstrap/payload.ts";
import { getLogger } from "../../logging/log.ts";

/** This many bytes of the payload in the output can only be an echo of what was sent. */
const ECHO_BYTES = 16;

const log = getLogger("mitogen.connect");

/**
 * What a tool says while it connects, and what the target says before the greeting. The last lines are kept,
 * for the error of a failed connect, and all lines are logged.
 */
export class ToolOutput {
  readonly #method: string;
  readonly #readable: (text: string) => string;
  #history: History = new History();
  /** The last bytes of stdout, which may be the beginning of an echo. */
  #heard: Buffer = Buffer.alloc(0);

  /** `readable` makes a text fit for people: it masks secrets. */
  constructor(method: string, readable: (text: string) => string) {
    this.#method = method;
    this.#readable = readable;
  }

  /** Takes bytes of one stream. Returns the lines that they completed, as they came. */
  push(stream: "stdout" | "stderr", bytes: Buffer): readonly string[] {
    const lines = this.#history.push(stream, bytes);
    if (log.isEnabled("debug")) {
      for (const line of lines) log.debug(`${this.#method}: ${stream}: ${this.#readable(line)}`);
    }
    return lines;
  }

  /**
   * Whether stdout repeats the payload with these bytes. The echo would fill the error message, and nothing
   * would ever end it.
   */
  isEcho(bytes: Buffer): boolean {
    const all = Buffer.concat([this.#heard, bytes]);
    this.#heard = Buffer.from(all.subarray(-(ECHO_BYTES - 1)));
    return all.includes(payloadBytes().subarray(0, ECHO_BYTES));
  }

  /** The last lines, as they came. */
  lines(): string[] {
    return this.#history.lines();
  }

  /** The last lines, for people. */
  readableLines(): string[] {
    return this.lines().map(this.#readable);
  }

  /** The last lines, for people, as one text. */
  toString(): string {
    return this.#readable(this.#history.toString());
  }

  /** Forgets the lines: the tool is started again. */
  forget(): void {
    this.#history = new History();
  }
}
