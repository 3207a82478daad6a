import assert from "node:assert/strict";
import { test } from "node:test";
import { Handshake, type HandshakeEvent } from "../../src/bootstrap/handshake.ts";
import { formatReady, parseReady, type Ready } from "../../src/bootstrap/ready.ts";

const NONCE = "0123456789abcdef";
const OTHER = "fedcba9876543210";
const ready: Ready = { protocolVersion: 1, nodeVersion: "20.1.0", platform: "linux", arch: "x64", pid: 4711 };
const READY = `\n${NONCE}:ready 1 20.1.0 linux x64 4711\n`;

/** Feeds `chunks` to a handshake. Returns the events, the noise, and the most bytes that it held back. */
function hear(chunks: readonly (string | Buffer)[]) {
  const noise: Buffer[] = [];
  const handshake = new Handshake(NONCE, (bytes) => noise.push(Buffer.from(bytes)));
  const events: HandshakeEvent[] = [];
  let fed = 0;
  let mostHeld = 0;
  for (const chunk of chunks) {
    events.push(...handshake.push(Buffer.from(chunk as string, "latin1")));
    fed += chunk.length;
    const told = noise.reduce((total, { length }) => total + length, 0);
    if (events.length === 0) mostHeld = Math.max(mostHeld, fed - told);
    if (events.at(-1)?.kind === "ready") break;
  }
  const heard = Buffer.concat(noise).toString("latin1");
  handshake.end();
  return { events, heard, all: Buffer.concat(noise).toString("latin1"), mostHeld };
}

const kinds = (events: readonly HandshakeEvent[]) => events.map(({ kind }) => kind);

test("Handshake finds shell and ready, and passes on the bytes that follow", () => {
  const { events, all } = hear([`${NONCE}:0\n${READY}MJ frames`]);
  assert.deepEqual(events, [{ kind: "shell" }, { kind: "ready", ready, rest: Buffer.from("MJ frames") }]);
  assert.equal(all, "\n");
});

test("Handshake finds that another shell reads the guard line, and takes its echo for noise", () => {
  assert.deepEqual(hear([`motd\n${NONCE}:S\n`]).events, [{ kind: "otherShell" }]);
  assert.deepEqual(hear([`echo ${NONCE}:S;exit\n`]).events, []);
});

test("Handshake finds the same wherever the stream is cut, and reports all noise in front", () => {
  const motd = `Welcome to web1!\r\n\x1b[1mPassword: x\x1b[0m \xff\xfe\0${NONCE.slice(0, 9)} \n${OTHER}:0\nprompt> `;
  const text = `${motd}${NONCE}:0\nmore${READY}rest\n${NONCE}:0\n`;
  const whole = Buffer.from(text, "latin1");
  const behind = text.indexOf("rest\n");
  for (let cut = 0; cut <= whole.length; cut++) {
    const { events, all } = hear([whole.subarray(0, cut), whole.subarray(cut)]);
    assert.deepEqual(kinds(events), ["shell", "ready"], `cut at ${cut}`);
    const [, last] = events as [HandshakeEvent, HandshakeEvent & { kind: "ready" }];
    assert.deepEqual(last.ready, ready);
    // The rest is that of the chunk. Later bytes go to the link.
    assert.equal(last.rest.toString(), text.slice(behind, cut < behind ? undefined : cut), `cut at ${cut}`);
    assert.equal(all, `${motd}more\n`, `cut at ${cut}`);
  }
  const bytes = [...whole].map((byte) => Buffer.from([byte]));
  assert.deepEqual(kinds(hear(bytes).events), ["shell", "ready"]);
});

test("Handshake finds no node and old node with their texts", () => {
  assert.deepEqual(hear([`${NONCE}:N Linux x86_64\n`]).events, [{ kind: "noNode", system: "Linux x86_64" }]);
  assert.deepEqual(hear([`${NONCE}:V 10.24.1\n`]).events, [{ kind: "oldNode", version: "10.24.1" }]);
});

test("Handshake takes CRLF for a line end", () => {
  const { events } = hear([`motd\r\n${NONCE}:0\r\n${READY.replace(/\n$/, "\r\n")}x`]);
  assert.deepEqual(events, [{ kind: "shell" }, { kind: "ready", ready, rest: Buffer.from("x") }]);
});

test("Handshake finds a marker after unterminated noise on the same line", () => {
  const { events, all } = hear([`bash: no job control${NONCE}:0\n`]);
  assert.deepEqual([kinds(events), all], [["shell"], "bash: no job control"]);
});

test("Handshake ignores markers with another nonce, or with none", () => {
  const noise = `${OTHER}:0\n${OTHER}:ready 1 20.1.0 linux x64 1\nMITO002\n:ready 1 20.1.0 linux x64 1\n`;
  const { events, all } = hear([noise]);
  assert.deepEqual([events, all], [[], noise]);
});

test("Handshake continues after an echo of the command line and after malformed markers", () => {
  const noise = [
    `sh -c '…' ${NONCE} 18000\n`,
    `${NONCE}:\n`,
    `${NONCE}:00\n`,
    `${NONCE}:1\n`,
    `${NONCE}:N\n`,
    `${NONCE}:ready\n`,
    `${NONCE}:ready 1 20.1.0 linux x64\n`,
    `${NONCE}:ready 1 20.1.0 linux x64 1 2\n`,
    `${NONCE}:${NONCE}:x\n`,
  ].join("");
  const { events, all } = hear([`${noise}${NONCE}:${NONCE}:0\n`]);
  assert.deepEqual(
    [kinds(events), all],
    [["shell"], Buffer.from(`${noise}${NONCE}:`, "latin1").toString("latin1")],
  );
});

test("Handshake takes a marker over 300 bytes for noise, however it was cut", () => {
  const long = `${NONCE}:N ${"x".repeat(1000)}\n`;
  for (let cut = 0; cut <= long.length; cut++) {
    const { events, all } = hear([long.slice(0, cut), `${long.slice(cut)}${NONCE}:0\n`]);
    assert.deepEqual([kinds(events), all], [["shell"], long], `cut at ${cut}`);
  }
});

test("Handshake makes the text of a marker harmless", () => {
  const { events } = hear([`${NONCE}:N Linux\x1b[2J\x07\x9b evil\n`]);
  assert.deepEqual(events, [{ kind: "noNode", system: "Linux?[2J?? evil" }]);
});

test("Handshake holds back at most a marker's length of a megabyte without a line end", () => {
  for (const filler of ["x", "\0", "\xff", NONCE.slice(0, -1), `${NONCE}:`, `${NONCE}:N `]) {
    const text = filler.repeat(Math.ceil(1_000_000 / filler.length));
    const chunks = Array.from({ length: Math.ceil(text.length / 4096) }, (_, index) =>
      text.slice(index * 4096, (index + 1) * 4096),
    );
    const { events, heard, all, mostHeld } = hear(chunks);
    assert.deepEqual(events, []);
    assert.ok(mostHeld < 300, `${mostHeld} held of ${JSON.stringify(filler)}`);
    assert.ok(heard.length > 999_000);
    assert.equal(all, text);
  }
});

test("Handshake.end reports the bytes held back, once; after ready there are none", () => {
  const noise: string[] = [];
  const handshake = new Handshake(NONCE, (bytes) => noise.push(bytes.toString()));
  handshake.push(Buffer.from(`last words${NONCE}:0`));
  assert.deepEqual(noise, ["last words"]);
  handshake.end();
  handshake.end();
  assert.deepEqual(noise, ["last words", `${NONCE}:0`]);
  noise.length = 0;
  const done = new Handshake(NONCE, (bytes) => noise.push(bytes.toString()));
  done.push(Buffer.from(READY.slice(0, 10)));
  done.push(Buffer.from(READY.slice(10)));
  done.end();
  assert.deepEqual(noise, ["\n"]);
});

test("Handshake reports noise at once if it cannot begin a marker, so that two streams stay in order", () => {
  const noise: string[] = [];
  const handshake = new Handshake(NONCE, (bytes) => noise.push(bytes.toString()));
  handshake.push(Buffer.from("first\n"));
  assert.deepEqual(noise, ["first\n"]);
  handshake.push(Buffer.from(`second${NONCE.slice(0, 3)}`));
  handshake.push(Buffer.from("third"));
  assert.equal(noise.join(""), `first\nsecond${NONCE.slice(0, 3)}third`);
});

test("Handshake's rest is a copy, because the chunk may be used again", () => {
  const chunk = Buffer.from(`${READY}rest`);
  const [event] = new Handshake(NONCE, () => undefined).push(chunk) as [HandshakeEvent & { kind: "ready" }];
  chunk.fill(0);
  assert.equal(event.rest.toString(), "rest");
});

test("parseReady reads what formatReady writes", () => {
  const text = formatReady(NONCE);
  const [event] = new Handshake(NONCE, () => undefined).push(Buffer.from(text)) as [
    HandshakeEvent & { kind: "ready" },
  ];
  assert.deepEqual(event.ready, {
    protocolVersion: 1,
    nodeVersion: process.versions.node,
    platform: process.platform,
    arch: process.arch,
    pid: process.pid,
  });
  assert.deepEqual(
    parseReady("1 23.0.0-nightly2024+x.y linux arm64 1")?.nodeVersion,
    "23.0.0-nightly2024+x.y",
  );
});

test("parseReady takes nothing else", () => {
  const good = ["1", "20.1.0", "linux", "x64", "4711"];
  assert.ok(parseReady(good.join(" ")));
  const bad: [number, string][] = [
    [0, ""],
    [0, "-1"],
    [0, "1e9"],
    [0, "1234567890"],
    [1, "20"],
    [1, "20.1"],
    [1, "v20.1.0"],
    [1, "20.1.0\x1b[2J"],
    [1, `20.1.0${"x".repeat(41)}`],
    [1, "20.1.0/../.."],
    [2, "li nux"],
    [2, "x".repeat(21)],
    [2, "../etc"],
    [3, ""],
    [3, "x64\n"],
    [4, "-1"],
    [4, "0x10"],
    [4, "12345678901"],
    [4, "1\n"],
    [4, "1 "],
  ];
  for (const [index, value] of bad) {
    const words = [...good];
    words[index] = value;
    assert.equal(parseReady(words.join(" ")), undefined, JSON.stringify(value));
  }
  for (const text of ["", " ", "constructor", ` ${good.join(" ")}`, good.join("  "), "x".repeat(1_000_000)]) {
    assert.equal(parseReady(text), undefined);
  }
});
