import { closeSync, openSync, writeSync } from "node:fs";
import { createInterface } from "node:readline";
import { Writable } from "node:stream";
import { ReadStream } from "node:tty";
import { MitogenError } from "../errors.ts";
import { text, WAIT_OPTIONS } from "../options/option-types.ts";
import { readOptions, takeOption } from "../options/options.ts";
import { oneLine } from "../text/harmless.ts";
import { type WaitOptions, watchBounds } from "../waiting/wait.ts";
import { Secret } from "../wire/values/secret.ts";

/** How long a question waits for its answer by default. */
const DEFAULT_TIMEOUT_MS = 10 * 60_000;
const TERMINAL = "/dev/tty";

/** A terminal has one question at a time. */
let lastQuestion: Promise<unknown> = Promise.resolve();

/**
 * Returns a function that asks for a password on the program's terminal, without echo. Pass the function as `password`:
 * it asks when the password is first needed, once for all connects that use it. The `timeoutMs` of a connect does not
 * count the time until the answer.
 *
 * A prompt that does not end in a colon, a question mark or `>` gets a colon. The question appears on `/dev/tty`,
 * whatever stdin and stdout are. The function rejects with a MitogenError if there is no terminal, or if the user gives
 * up (Ctrl-D). It rejects with a TimeoutError after `timeoutMs` (ten minutes by default), and with the reason of the
 * signal. Ctrl-C sends SIGINT, as usual.
 *
 * ```ts
 * const password = askPassword("sudo password for ada");
 * const roots = await Promise.all(webs.map((via) => router.sudo({ via, password })));
 * ```
 */
export function askPassword(prompt: string, options: WaitOptions = {}): () => Promise<Secret> {
  const what = "ask for a password";
  const asks = oneLine(takeOption(what, "the prompt", prompt, text)).trimEnd();
  const bounds = readOptions(what, options, WAIT_OPTIONS);
  let answer: Promise<Secret> | undefined;
  return () => {
    if (answer !== undefined) return answer;
    const asked = lastQuestion.then(() => ask(asks, bounds));
    lastQuestion = asked.catch(() => {
      answer = undefined; // the next connect asks again
    });
    answer = asked;
    return asked;
  };
}

function ask(prompt: string, { timeoutMs = DEFAULT_TIMEOUT_MS, signal }: WaitOptions): Promise<Secret> {
  const question = `${prompt}${/[:?>]$/.test(prompt) ? "" : ":"} `;
  const what = `ask ${JSON.stringify(prompt.replace(/:$/, ""))}`;
  return new Promise((resolve, reject) => {
    const input = openTerminal(what);
    const lines = createInterface({ input, output: nowhere(), terminal: true, historySize: 0 });
    let isOver = false;
    const end = (settle: () => void): void => {
      if (isOver) return;
      isOver = true;
      unwatch();
      lines.close();
      input.destroy();
      write("\n");
      settle();
    };
    const unwatch = watchBounds(
      { timeoutMs, signal },
      () => what,
      // Deferred, because the signal may have been aborted before.
      (reason) => setImmediate(end, () => reject(reason)),
    );
    lines.once("line", (line) => end(() => resolve(new Secret(line))));
    lines.once("close", () =>
      end(() => reject(new MitogenError(`Cannot ${what}: the question was not answered`))),
    );
    lines.once("SIGINT", () => {
      end(() => reject(new MitogenError(`Cannot ${what}: the question was interrupted`)));
      process.kill(process.pid, "SIGINT");
    });
    // After Ctrl-Z and fg: readline waits to be told to go on, and the shell has written over the question.
    lines.on("SIGCONT", () => {
      lines.resume();
      write(question);
    });
    write(question);
  });
}

/** Opens the terminal as a stream of its own, because stdin may be something else. */
function openTerminal(what: string): ReadStream {
  try {
    return new ReadStream(openSync(TERMINAL, "r+"));
  } catch (cause) {
    throw new MitogenError(
      `Cannot ${what}: this program has no terminal; pass password as a Secret, or as a function that reads it elsewhere`,
      { cause },
    );
  }
}

/** Swallows the echo of readline. */
function nowhere(): Writable {
  return new Writable({ write: (_chunk, _encoding, done) => done() });
}

function write(text: string): void {
  // Through the stream if it is the terminal, so that code that shares the line with the question notices it.
  if (process.stderr.isTTY) {
    process.stderr.write(text);
    return;
  }
  const fd = openSync(TERMINAL, "w");
  try {
    writeSync(fd, text);
  } finally {
    closeSync(fd);
  }
}
