import assert from "node:assert/strict";
import { test } from "node:test";
import { type Output, Terminal } from "../../../src/cli/screen/terminal.ts";

const MIB = 1024 * 1024;

/** A stdout whose reader takes what is written when the test says so. */
class SlowOutput implements Output {
  readonly taken: string[] = [];
  readonly #written: { text: string; onWritten: ((error?: Error | null) => void) | undefined }[] = [];
  #fail: (error: NodeJS.ErrnoException) => void = () => undefined;

  get writableLength(): number {
    return this.#written.reduce((sum, { text }) => sum + text.length, 0);
  }

  write(text: string, onWritten?: (error?: Error | null) => void): boolean {
    this.#written.push({ text, onWritten });
    return false;
  }

  on(event: string, listener: never): void {
    if (event === "error") this.#fail = listener;
  }

  off(): void {}

  async read(): Promise<void> {
    for (const { text, onWritten } of this.#written.splice(0)) {
      this.taken.push(text);
      onWritten?.();
    }
    await new Promise((resolve) => setImmediate(resolve));
  }

  break(): void {
    this.#fail(Object.assign(new Error("no reader"), { code: "EPIPE" }));
    for (const { onWritten } of this.#written.splice(0)) onWritten?.(new Error("no reader"));
  }
}

function slowTerminal() {
  const out = new SlowOutput();
  const notes: string[] = [];
  const err = {
    ...out,
    write: (text: string) => notes.push(text) > 0,
    on: () => undefined,
    off: () => undefined,
  };
  return { out, notes, terminal: new Terminal(out, err, {}, () => undefined) };
}

test("Terminal does not wait for a reader that keeps up", () => {
  const { out, terminal } = slowTerminal();
  terminal.print("one");
  assert.equal(terminal.drained(), undefined);
  assert.equal(out.writableLength, 4);
});

test("Terminal holds text for a slow reader, says if it holds too much, and keeps the order", async () => {
  const { out, terminal } = slowTerminal();
  terminal.write("a".repeat(MIB));
  terminal.write("b");
  const drained = terminal.drained();
  assert.ok(drained instanceof Promise);
  terminal.write("c");
  terminal.write("d".repeat(MIB));
  assert.equal(out.writableLength, MIB + 1);
  assert.equal(terminal.isOverfull, false);
  terminal.write("e".repeat(32 * MIB));
  assert.equal(terminal.isOverfull, true);
  let isDrained = false;
  void drained.then(() => {
    isDrained = true;
  });
  await out.read();
  assert.equal(isDrained, false);
  terminal.write("f");
  for (let i = 0; i < 4 && !isDrained; i++) await out.read();
  assert.equal(isDrained, true);
  terminal.write("g");
  await out.read();
  const text = out.taken.join("");
  const starts = [0, MIB, MIB + 1, MIB + 2, 2 * MIB + 2, 34 * MIB + 2, 34 * MIB + 3];
  assert.deepEqual(
    [..."abcdefg"].map((letter) => text.indexOf(letter)),
    starts,
  );
  assert.equal(text.length, 34 * MIB + 4);
  assert.equal(terminal.drained(), undefined);
});

test("Terminal.flush waits for all text, and says how many lines were left out", async () => {
  const { out, notes, terminal } = slowTerminal();
  terminal.write("a".repeat(2 * MIB));
  terminal.write("b");
  terminal.leaveOut();
  const flushed = terminal.flush();
  for (let i = 0; i < 5; i++) await out.read();
  await flushed;
  assert.equal(out.taken.join("").slice(-1), "b");
  assert.match(notes.join(""), /1 lines? of output/);
  assert.equal(terminal.hasFailed, true);
});

test("Terminal does not wait for a reader that has gone", async () => {
  const { out, terminal } = slowTerminal();
  terminal.write("a".repeat(2 * MIB));
  terminal.write("b");
  const drained = terminal.drained();
  out.break();
  await drained;
  assert.equal(terminal.drained(), undefined);
});
