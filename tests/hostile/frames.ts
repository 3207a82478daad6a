/**
 * What a hostile child sends: messages to every handle of docs/protocol.md, right and wrong, and bytes that are no
 * message at all.
 */

import type { Random } from "../support/random.ts";
import { bytes, error, head, list, map, NULL, number, tag, text } from "./cbor.ts";

/** What the child knows of its tree. */
export interface World {
  /** Contexts about which it lies, the master among them. */
  readonly others: readonly number[];
  /** A file that appears if a context lets the child call a function. */
  readonly trap: string;
  /** A file whose text must not reach the child. */
  readonly secret: string;
  /** A module that the program serves. */
  readonly module: string;
}

const CBOR = 0x4d4a;
const RAW = 0x4d4b;
const PART = 0x4d4c;
const DEAD = 999;
const REPLY = 0x38000000;
const CREDIT = 2 ** 30;
const BROKER = 2 ** 31;
const HEADER_BYTES = 26;

const NUMBERS = [0, 1, -1, 100, 1000, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 53, 1e308, 0.5, -0, Number.NaN];
const MORE = [Number.NEGATIVE_INFINITY, -(2 ** 31), 2 ** 53 - 1];
const TEXTS = [
  "",
  "\0",
  "import",
  "require",
  "..",
  "../../../../../../etc/passwd",
  "./%2e%2e/%2e%2e/etc/passwd",
  "file:///etc/passwd",
  "node:fs",
  "node:child_process",
  "mitogen:api",
  "mitogen:parent-role",
  "provided:x",
  "missing:E x",
  "data:text/javascript,export const a = 1",
  "http://127.0.0.1:1/x.js",
  "__proto__",
  "constructor",
  "a\nb\r\n\x1b[2J\x1b]0;x\x07",
  "x".repeat(5_000),
  "é😀\u202e",
];

interface Header {
  readonly encoding?: number;
  readonly dstId?: number;
  readonly srcId?: number;
  readonly authId?: number;
  readonly handle: number;
  readonly replyTo?: number;
  /** The length that the header claims. */
  readonly length?: number;
}

export class HostileFrames {
  readonly #random: Random;
  readonly #world: World;
  readonly #id: number;

  /** `id` is the child's own. */
  constructor(random: Random, world: World, id: number) {
    this.#random = random;
    this.#world = world;
    this.#id = id;
  }

  /** The next bytes, usually one frame. They end no link. */
  next(): Buffer {
    const [header, body] = this.message();
    const random = this.#random;
    switch (random.below(12)) {
      case 0:
        return this.flipped(this.frame(header, body));
      case 1:
        return this.frame(header, body.subarray(0, random.below(body.length + 1)));
      case 2:
        return this.frame(header, Buffer.concat([body, this.message()[1]]));
      case 3:
        return this.frame({ ...header, srcId: this.anyId() }, body);
      case 4:
        return this.frame({ ...header, authId: this.anyId() }, body);
      case 5:
        return this.frame({ ...header, handle: this.anyHandle() }, body);
      case 6:
        return this.frame({ ...header, encoding: RAW }, body);
      case 7:
        return this.inParts(this.frame(header, body));
      default:
        return this.frame(header, body);
    }
  }

  /**
   * Bytes after which no peer can read on: bad magic, a length over the limit, parts that lie, a frame that does not
   * end.
   */
  last(): Buffer {
    const random = this.#random;
    const [header, body] = this.message();
    switch (random.below(6)) {
      case 0:
        return random.bytes(1 + random.below(200));
      case 1:
        return this.frame({ ...header, length: 0xffffffff }, body);
      case 2:
        return this.frame({ ...header, length: 64 * 1024 * 1024 }, body);
      case 3:
        return this.frame(
          { encoding: PART, handle: random.pick([0, 1, 25, 26, 2 ** 31, 2 ** 32 - 1]) },
          body,
        );
      case 4: {
        // More open parts at once than are allowed.
        const part = (at: number): Buffer =>
          this.frame({ encoding: PART, dstId: at, handle: 1_000_000 }, Buffer.alloc(100));
        return Buffer.concat(Array.from({ length: 200 }, (_, at) => part(at)));
      }
      default:
        return this.frame(header, body).subarray(0, -1);
    }
  }

  private message(): [Header, Buffer] {
    const random = this.#random;
    const dstId = random.chance(3) ? random.pick(this.#world.others) : 0;
    const replyTo = random.pick([
      0,
      0,
      DEAD,
      1,
      105,
      1000,
      REPLY,
      REPLY + 1,
      CREDIT,
      CREDIT + 1,
      BROKER,
      2 ** 32 - 1,
    ]);
    const [handle, body] = this.content();
    return [{ dstId, handle, replyTo }, body];
  }

  /** A handle with a body that it takes, or nearly takes. */
  private content(): [number, Buffer] {
    const random = this.#random;
    const { trap, secret, module } = this.#world;
    const call = list(NULL, text("node:fs"), list(text("writeFileSync")), list(text(trap), text("x")));
    const path = (): Buffer => text(random.pick([...TEXTS, secret, module, `file://${secret}`]));
    switch (random.below(24)) {
      case 0:
        return [100, list(path(), path(), text(random.pick(["import", "require", "x"])))];
      case 1:
        return [101, call];
      case 2:
        return [102, this.records()];
      case 3:
        return [103, list(number(this.anyId()), this.text(), text(random.pick(["20.0.0", "99", "x"])))];
      case 4:
        // Never the child's own farewell, which would end it.
        return [104, list(number(random.pick(this.#world.others)), this.text())];
      case 5:
        return [105, random.chance(2) ? NULL : number(this.anyNumber())];
      case 6:
        return [106, Buffer.alloc(0)];
      case 7:
        return [107, list(number(this.anyId()), list(list(path(), this.text(), bytes(random.bytes(40)))))];
      case 8:
        return [random.chance(8) ? 109 : 116, random.chance(2) ? NULL : this.value(3)];
      case 9:
        return [110, list(text(random.pick(["open", "closed", "x"])), NULL, this.method(), this.args())];
      case 10:
        return [112, list(path(), path())];
      case 11:
        return [
          114,
          list(
            text(random.pick(["exec", "local", "ssh", "x"])),
            this.connectOptions(),
            this.identity(),
            number(0),
          ),
        ];
      case 12:
        return [115, list(number(this.anyId()))];
      case 13:
        return [117, list(number(this.anyHandle()), error(random.pick(TEXTS)))];
      case 14:
        return [random.pick([0, 1, 99, 108, 111, 113, 118, 150, 199, 200, 998, DEAD]), this.value(3)];
      case 15:
        return [CREDIT + random.below(40), number(this.anyNumber())];
      case 16:
        return [
          random.pick([1000, REPLY, BROKER]) + random.below(40),
          random.pick([call, this.value(3), this.answer()]),
        ];
      case 17:
        return [random.pick([1000, REPLY, REPLY]) + random.below(200), this.answer()];
      case 18:
        return [this.anyHandle(), this.bomb()];
      case 19:
        return [this.anyHandle(), random.bytes(random.below(200))];
      case 20:
        return [
          this.anyHandle(),
          Buffer.alloc(random.below(random.chance(10) ? 200_000 : 2_000), random.below(256)),
        ];
      default:
        return [this.anyHandle(), this.value(5)];
    }
  }

  private records(): Buffer {
    const random = this.#random;
    const record = (): Buffer =>
      list(
        this.text(),
        number(random.pick([1, 2, 3, 4, 0, 99, Number.NaN])),
        this.text(),
        number(this.anyNumber()),
      );
    return list(...Array.from({ length: random.below(random.chance(20) ? 500 : 4) }, record));
  }

  private connectOptions(): Buffer {
    return map([text("command"), list(text("touch"), text(this.#world.trap))]);
  }

  private identity(): Buffer {
    return map(
      [text("contextId"), number(this.anyId())],
      [text("remoteName"), this.text()],
      [text("logLevel"), number(this.anyNumber())],
    );
  }

  /** A reply to a connect, a request for ids, a stream or a call. */
  private answer(): Buffer {
    const random = this.#random;
    return random.pick([
      map([text("connected"), list(number(this.anyNumber()), this.text(), this.text(), list(this.text()))]),
      map([text("failed"), list(this.text(), this.text(), this.value(2))]),
      list(number(this.anyNumber()), number(this.anyNumber())),
      tag(0x4d495401, list(this.text(), this.text(), this.text(), this.value(1), NULL, list(this.value(1)))),
      tag(0x4d495405, list(number(this.anyId()), number(this.anyHandle()))),
    ]);
  }

  private method(): Buffer {
    return text(
      this.#random.pick(["answer", "hidden", "constructor", "__proto__", "onShutdown", "name", ""]),
    );
  }

  private args(): Buffer {
    return this.#random.chance(2)
      ? map([text("value"), this.value(2)])
      : map([this.text(), this.value(1)], [text("value"), this.value(1)]);
  }

  /** A body that is small to send, but large or deep to hold. */
  private bomb(): Buffer {
    const random = this.#random;
    const times = random.pick([10, 255, 256, 257, 1_000, random.chance(10) ? 60_000 : 5_000]);
    const unit = random.pick([
      "81",
      "a161",
      "d9010281",
      "d90103a100",
      "c2",
      "da4d49540086",
      "9f",
      "d840",
      "da4d49540581",
    ]);
    const deep = Buffer.alloc((unit.length / 2) * times, Buffer.from(unit, "hex"));
    const many = Buffer.concat([
      head(random.pick([4, 5]), random.pick([2 ** 32 - 1, 5_000_000, 60_000])),
      Buffer.alloc(times),
    ]);
    // One name again and again, or as many names with the same input to a hash.
    const named = map(
      ...Array.from({ length: Math.min(times, 5_000) }, (_, at) => [text(`k${at % 4_000}`), NULL] as const),
    );
    return random.pick([deep, many, named, tag(258, many), tag(259, named), head(2, 2 ** 32 - 1)]);
  }

  private value(depth: number): Buffer {
    const random = this.#random;
    const inner = (): Buffer => this.value(depth - 1);
    switch (random.below(depth > 0 ? 14 : 7)) {
      case 0:
        return Buffer.of(random.pick([0xf4, 0xf5, 0xf6, 0xf7, 0xf8, 0xff, 0xe0]));
      case 1:
      case 2:
        return number(this.anyNumber());
      case 3:
      case 4:
        return this.text();
      case 5:
        return bytes(random.bytes(random.below(40)));
      case 6:
        return tag(
          random.pick([1, 2, 3, 64, 69, 71, 85, 273, 0x4d495402, 0x4d495403]),
          bytes(random.bytes(random.below(20))),
        );
      case 7:
        return tag(
          random.pick([258, 259, 0x4d495400, 0x4d495401, 0x4d495404, 0x4d495405, 0x4d495406]),
          inner(),
        );
      case 8:
        return map([this.text(), inner()], [this.text(), inner()]);
      case 9:
        return error(random.pick(TEXTS));
      default:
        return list(...Array.from({ length: random.below(4) }, inner));
    }
  }

  private text(): Buffer {
    return text(this.#random.pick(TEXTS));
  }

  private anyNumber(): number {
    return this.#random.pick(this.#random.chance(5) ? MORE : NUMBERS);
  }

  private anyId(): number {
    const random = this.#random;
    return random.chance(4)
      ? random.pick([2 ** 32 - 1, 4711, 2 ** 31, 5000])
      : random.pick([this.#id, ...this.#world.others]);
  }

  private anyHandle(): number {
    const random = this.#random;
    return random.pick([0, 99, 100, REPLY, CREDIT, BROKER, 2 ** 32 - 100]) + random.below(100);
  }

  private frame(header: Header, body: Buffer): Buffer {
    const { encoding = CBOR, dstId = 0, srcId = this.#id, authId = srcId, handle, replyTo = 0 } = header;
    const frame = Buffer.alloc(HEADER_BYTES + body.length);
    frame.writeUInt16BE(encoding, 0);
    let at = 2;
    for (const field of [dstId, srcId, authId, handle, replyTo, header.length ?? body.length]) {
      at = frame.writeUInt32BE(field >>> 0, at);
    }
    body.copy(frame, HEADER_BYTES);
    return frame;
  }

  /** The frame with some bits changed, but not in magic and length. */
  private flipped(frame: Buffer): Buffer {
    const random = this.#random;
    for (let count = 1 + random.below(8); count > 0; count--) {
      const at = 2 + random.below(frame.length - 2);
      if (at < 22 || at >= HEADER_BYTES) frame[at] = (frame[at] as number) ^ (1 << random.below(8));
    }
    // A farewell would end this child's session.
    if (frame.readUInt32BE(14) === 104) frame.writeUInt32BE(116, 14);
    return frame;
  }

  /** The frame in correct parts, docs/protocol.md#bulk, even if it is small. */
  private inParts(frame: Buffer): Buffer {
    const header = {
      encoding: PART,
      handle: frame.length,
      dstId: frame.readUInt32BE(2),
      srcId: frame.readUInt32BE(6),
      authId: 0,
    };
    const parts: Buffer[] = [];
    for (let at = 0; at < frame.length; ) {
      const length = Math.min(frame.length - at, Math.max(HEADER_BYTES, 1 + this.#random.below(100_000)));
      parts.push(this.frame(header, frame.subarray(at, at + length)));
      at += length;
    }
    return Buffer.concat(parts);
  }
}
