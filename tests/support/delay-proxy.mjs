// Puts distance between two ends: every byte arrives --delay-ms later, in order. --mbit-per-s limits the rate of each
// direction; then the proxy itself holds little.
//   node delay-proxy.mjs --delay-ms 250 host port            as ssh's ProxyCommand: stdio ⇄ TCP
//   node delay-proxy.mjs --delay-ms 250 -- command args…     around a command: stdio ⇄ its stdio
import { spawn } from "node:child_process";
import { closeSync } from "node:fs";
import { connect } from "node:net";
import { constants } from "node:os";
import { parseArgs } from "node:util";

const { values, positionals, tokens } = parseArgs({
  options: {
    "delay-ms": { type: "string", default: "0" },
    "mbit-per-s": { type: "string", default: "Infinity" },
  },
  allowPositionals: true,
  tokens: true,
});
const delayMs = Number(values["delay-ms"]);
const bytesPerMs = (Number(values["mbit-per-s"]) * 1000) / 8;
const isCommand = tokens.some(({ kind }) => kind === "option-terminator");
if (!(delayMs >= 0 && bytesPerMs > 0) || positionals.length < (isCommand ? 1 : 2)) {
  throw new Error("Usage: delay-proxy.mjs --delay-ms N [--mbit-per-s N] (host port | -- command args…)");
}

/** By how much timers are late at most, unless the machine is very busy. */
const LATE_MS = 20;

let outputEnded;
// The reader of our output is gone, so there is nothing left to do.
process.stdout.on("error", () => process.exit(1));
process.stderr.on("error", () => {});
if (isCommand) wrapCommand(positionals);
else bridge(positionals);

/**
 * Timers of one length fire in the order in which they were made, so nothing is reordered. They may fire 1 ms
 * early by the clock of another process.
 */
function later(action) {
  if (delayMs === 0) action();
  else setTimeout(action, delayMs + 1);
}

function relay(from, to) {
  let sentAt = 0;
  from.on("data", (chunk) => {
    later(() => to.write(chunk));
    if (bytesPerMs === Infinity) return;
    // Nothing more is read until this chunk is on its way, and the reader has taken what arrived. A link that was
    // idle does not catch up, but a timer that was late does.
    from.pause();
    const now = performance.now();
    sentAt = Math.max(sentAt, now - LATE_MS) + chunk.length / bytesPerMs;
    setTimeout(
      () => (to.writableNeedDrain ? to.once("drain", () => from.resume()) : from.resume()),
      sentAt - now,
    );
  });
  from.on("end", () => later(() => (to === process.stdout ? endOutput() : to.end())));
}

/**
 * Resolves when all output is written. Ending the stream alone would leave its reader without an end of file.
 */
function endOutput() {
  outputEnded ??= new Promise((resolve) => {
    process.stdout.end(() => {
      closeSync(1);
      resolve();
    });
  });
  return outputEnded;
}

function wrapCommand([command, ...args]) {
  const child = spawn(command, args, { stdio: "pipe" });
  child.stdin.on("error", () => {}); // The child stopped reading. Its exit says the rest.
  relay(process.stdin, child.stdin);
  relay(child.stdout, process.stdout);
  child.stderr.on("data", (chunk) => later(() => process.stderr.write(chunk)));
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => child.kill(signal));
  child.on("error", (error) => {
    console.error(`delay-proxy: ${error.message}`);
    process.exit(127);
  });
  child.on("close", (code, signal) => finish(code ?? 128 + constants.signals[signal]));
}

function bridge([host, port]) {
  const socket = connect({ host, port: Number(port), noDelay: true, allowHalfOpen: true });
  relay(process.stdin, socket);
  relay(socket, process.stdout);
  socket.on("error", (error) => {
    console.error(`delay-proxy: ${error.message}`);
    process.exitCode = 1;
  });
  socket.on("close", () => finish(process.exitCode ?? 0));
}

/** Ends when the bytes under way have arrived. */
function finish(code) {
  later(() => process.stderr.write("", () => endOutput().then(() => process.exit(code))));
}
