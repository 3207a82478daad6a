/** Hostile text and bytes for the readers of greetings, prompts, values and frames. */
import assert from "node:assert/strict";
import { Handshake, type HandshakeEvent } from "../../src/bootstrap/handshake.ts";
import type { BootLine } from "../../src/connection/methods/method.ts";
import { methods } from "../../src/connection/methods/methods.ts";
import { Conversation } from "../../src/connection/prompts/conversation.ts";
import { ProtocolError } from "../../src/errors.ts";
import { decodeValue } from "../../src/wire/cbor/decoder.ts";
import { FrameDecoder } from "../../src/wire/frame-decoder.ts";
import { ownCpuMs } from "../support/process-watch.ts";
import type { Random } from "../support/random.ts";
import { HostileFrames } from "./frames.ts";

const MIB = 1024 * 1024;
const NONCE = "0123456789abcdef";
const PASSWORD = "hunter2-swordfish";
const MAX_ANSWERS = 5;
/** CPU time for one input, which has at most a few hundred KiB. */
const LIMIT_MS = 500;
/** A marker, and the start of one that was cut. */
const MAX_HELD_BYTES = 400;

export const PIECES: readonly string[] = [
  `${NONCE}:`,
  `${NONCE}:0\n`,
  `${NONCE}:N Linux x86_64\n`,
  `${NONCE}:V 10.24.1\n`,
  `${NONCE}:ready 1 20.0.0 linux x64 1\n`,
  `${NONCE}:ready 999999999999 x y z -1\n`,
  `${NONCE}:ready 1 20.0.0 linux x64 1`,
  "\n",
  "\r\n",
  "\0",
  "\x1b[31m",
  "Password: ",
  "密码：",
  "[sudo: mitogen-sudo-01234567:] Mot de passe : ",
  "mitogen-sudo-01234567:",
  "Sorry, try again.\n",
  "sudo: 3 incorrect password attempts\n",
  "su: Authentication failure\n",
  "doas (ada@web1) password: ",
  "ada@web1's password: ",
  "Permission denied, please try again.\n",
  "Permission denied (publickey,password).\n",
  "Are you sure you want to continue connecting (yes/no/[fingerprint])? ",
  "sudo: a terminal is required to read the password\n",
  "x".repeat(3_000),
  `you said ${PASSWORD}\n`,
];

/** Gives one input to each reader. Throws an AssertionError for a broken promise. */
export function tryInputs(random: Random): void {
  const before = ownCpuMs();
  handshake(random);
  prompts(random);
  frames(random);
  const cpuMs = ownCpuMs() - before;
  assert.ok(cpuMs < LIMIT_MS, `one input took ${Math.round(cpuMs)} ms`);
}

/** A greeting is understood in the same way, however it is cut. Anything else is noise. */
function handshake(random: Random): void {
  const bytes = Buffer.concat(Array.from({ length: random.below(20) }, () => piece(random)));
  const whole = read([bytes]);
  const cut = read(cuts(random, bytes));
  assert.deepEqual(cut, whole);
}

function read(chunks: readonly Buffer[]): { events: HandshakeEvent[]; noise: string } {
  let noiseBytes = 0;
  let noise = "";
  const reader = new Handshake(NONCE, (bytes) => {
    noiseBytes += bytes.length;
    noise += bytes.toString("latin1");
  });
  const events: HandshakeEvent[] = [];
  let given = 0;
  let understood = 0;
  for (const [index, chunk] of chunks.entries()) {
    given += chunk.length;
    const found = reader.push(chunk);
    for (const event of found) understood += markBytes(event);
    assert.ok(given - noiseBytes - understood < MAX_HELD_BYTES, "it holds more than a marker");
    const ready = found.findIndex(({ kind }) => kind === "ready");
    if (ready < 0) {
      events.push(...found);
      continue;
    }
    const { rest, ...event } = found[ready] as HandshakeEvent & { kind: "ready" };
    assert.equal(ready, found.length - 1);
    events.push(...found.slice(0, ready), {
      ...event,
      rest: Buffer.concat([rest, ...chunks.slice(index + 1)]),
    });
    return { events, noise };
  }
  reader.end();
  return { events, noise };
}

/** At most, because the part after the nonce varies in length. */
function markBytes(event: HandshakeEvent): number {
  return event.kind === "ready" ? Number.POSITIVE_INFINITY : 40;
}

/**
 * The questions of each tool: the password goes out once, if it was asked for, and nothing else but a few
 * answers.
 */
function prompts(random: Random): void {
  const [name, options] = random.pick([
    ["sudo", {}],
    ["su", {}],
    ["doas", {}],
    ["ssh", { hostname: "web1", checkHostKeys: "accept" }],
  ] as const);
  const boot: BootLine = { words: [], shellLine: "", nonce: NONCE, hasTerminal: true };
  const method = methods[name] as unknown as {
    dialogue(options: object, boot: BootLine): ConstructorParameters<typeof Conversation>[0];
  };
  const typed: string[] = [];
  let failures = 0;
  // The password comes in a later turn. A rejection would be a failure of its own.
  const conversation = new Conversation(
    method.dialogue({ ...options, password: PASSWORD }, boot),
    { password: PASSWORD },
    {
      type: (text) => typed.push(text),
      fail: () => {
        failures += 1;
      },
    },
  );
  for (let count = random.below(30); count > 0; count--) {
    for (const chunk of cuts(random, piece(random)))
      conversation.push(random.pick(["stderr", "stdout"]), chunk);
  }
  assert.ok(conversation.openText.length <= 2 * 2_000 + 100, "it keeps all that is said");
  conversation.endOfText();
  assert.ok(failures <= 1, "it failed twice");
  assert.ok(typed.filter((text) => text === PASSWORD).length <= 1, "the password was typed twice");
  assert.ok(typed.length <= MAX_ANSWERS + 1, `${typed.length} answers`);
}

/** Bodies and streams of frames give values and frames, or a ProtocolError. */
function frames(random: Random): void {
  const world = { others: [0, 1, 2], trap: "/trap", secret: "/secret", module: "file:///m.js" };
  const source = new HostileFrames(random, world, 3);
  const stream = Buffer.concat([source.next(), source.next(), source.last()]);
  const decoder = new FrameDecoder(MIB);
  expectProtocolError(() => {
    for (const chunk of cuts(random, stream)) {
      decoder.push(chunk, ({ body }) => {
        expectProtocolError(() => void decodeValue(body[0] as Buffer));
      });
    }
  });
  assert.ok(decoder.pendingBytes <= MIB + 26);
}

function expectProtocolError(work: () => void): void {
  try {
    work();
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
  }
}

function piece(random: Random): Buffer {
  return random.chance(6) ? random.bytes(random.below(400)) : Buffer.from(random.pick(PIECES));
}

function cuts(random: Random, bytes: Buffer): Buffer[] {
  const chunks: Buffer[] = [];
  for (let at = 0; at < bytes.length; ) {
    const length = random.chance(4) ? 1 : 1 + random.below(Math.max(1, bytes.length));
    chunks.push(bytes.subarray(at, at + length));
    at += length;
  }
  return chunks;
}
