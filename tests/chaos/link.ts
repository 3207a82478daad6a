/**
 * Stands between a context and the command behind it, as ssh, the network and sshd do: link.js <control file>
 * command… SIGUSR2 makes it do what the control file says.
 */
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";

const [control = "", command = "", ...args] = process.argv.slice(2);
// A process behind a network is in no process group of this side, and ends when its own connection does.
const far = spawn(command, args, { stdio: ["pipe", "pipe", "inherit"], detached: true });
let isSilent = false;

for (const stream of [process.stdin, process.stdout, far.stdin, far.stdout])
  stream.on("error", () => undefined);
process.stdin
  .on("data", (chunk) => isSilent || far.stdin.write(chunk))
  .on("end", () => isSilent || far.stdin.end());
far.stdout.on("data", (chunk) => isSilent || process.stdout.write(chunk));
far.on("exit", (code) => isSilent || process.exit(code ?? 1));
far.on("error", () => process.exit(127));
process.on("SIGUSR2", () => {
  switch (readFileSync(control, "utf8")) {
    case "silent":
      isSilent = true;
      // Nobody closes a connection that is cut off.
      for (const signal of ["SIGTERM", "SIGHUP"]) process.on(signal, () => undefined);
      setInterval(() => undefined, 60_000);
      break;
    case "half-close":
      far.stdin.end();
      process.stdin.pause();
      break;
    default:
      process.exit(255);
  }
});
