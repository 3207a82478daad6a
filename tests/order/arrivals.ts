/** The lines of output and the messages that come from the context of a round. */
import type { LogRecord, Message, Receiver } from "../../src/index.ts";
import type { OrderedCall } from "./calls.ts";
import { bulkBytes, bytesOf } from "./functions.ts";

export class Arrivals {
  /** How many lines have come, by call. */
  readonly lines: Map<number, number> = new Map();
  /** The calls in the order of their first lines, by stream. */
  readonly printed: { stdout: number[]; stderr: number[] } = { stdout: [], stderr: [] };
  /** Small messages, by call; `tallied` is their sum. */
  readonly tally: Map<number, number> = new Map();
  tallied = 0;
  /** Messages that wait for their reader, by call; `bulky` is their sum. */
  readonly bulk: Map<number, number> = new Map();
  bulky = 0;
  readonly #calls: ReadonlyMap<number, OrderedCall>;
  readonly #broken: string[];

  /** Adds broken promises to `broken` as they come. */
  constructor(calls: ReadonlyMap<number, OrderedCall>, broken: string[]) {
    this.#calls = calls;
    this.#broken = broken;
  }

  takeLine(stream: "stdout" | "stderr", { mitogenMsg = "" }: LogRecord): void {
    const [, n = "", index, padding] = /^order (\d+) (\d+) (x*)$/.exec(mitogenMsg) ?? [];
    const call = this.#calls.get(Number(n));
    const print = call?.event.work.print;
    if (call === undefined || print?.stream !== stream || print.characters !== padding?.length) {
      this.#broken.push(`a line came that nobody has printed: ${mitogenMsg.slice(0, 200)}`);
      return;
    }
    const next = this.lines.get(call.n) ?? 0;
    if (Number(index) !== next) this.#broken.push(`line ${index} of call ${n} came, and ${next} was next`);
    if (call.hasAnswer) this.#broken.push(`line ${index} of call ${n} came after the answer`);
    if (next === 0) this.printed[stream].push(call.n);
    this.lines.set(call.n, next + 1);
  }

  takeTally(message: Message): void {
    const [n, seq] = message.decode() as [number, number];
    this.tallied += 1;
    if (seq !== this.tallied) this.#broken.push(`small message ${seq} came, and ${this.tallied} was next`);
    if (this.#calls.get(n)?.hasAnswer) this.#broken.push(`a message of call ${n} came after the answer`);
    this.tally.set(n, (this.tally.get(n) ?? 0) + 1);
  }

  /** Reads large messages until the inbox is closed. */
  async readBulk(inbox: Receiver<[n: number, seq: number, bytes: Uint8Array]>): Promise<void> {
    for await (const message of inbox) {
      const [n, seq, bytes] = message.decode();
      this.bulky += 1;
      if (seq !== this.bulky) this.#broken.push(`large message ${seq} came, and ${this.bulky} was next`);
      if (!bytesOf(seq, bulkBytes(seq)).equals(bytes))
        this.#broken.push(`large message ${seq} is not what was sent`);
      this.bulk.set(n, (this.bulk.get(n) ?? 0) + 1);
    }
  }
}
