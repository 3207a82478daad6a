// Stands for ssh, a network and sshd: runs the given command in a process group of its own, and forwards
// between the command and stdio. From SIGUSR1 on it forwards nothing, reads nothing, and closes nothing, like a
// network that was cut.
//   node cut-network.mjs <file for the pids of this process and the command's> command args…
import { spawn } from "node:child_process";
import { renameSync, writeFileSync } from "node:fs";

const [path, command, ...args] = process.argv.slice(2);
const far = spawn(command, args, { stdio: ["pipe", "pipe", "ignore"], detached: true });
const streams = [process.stdin, process.stdout, far.stdin, far.stdout];
for (const stream of streams) stream.on("error", () => undefined);
process.stdin.pipe(far.stdin);
far.stdout.pipe(process.stdout);
process.on("SIGUSR1", () => {
  process.stdin.unpipe();
  far.stdout.unpipe();
  process.stdin.pause();
  far.stdout.pause();
});
// The far end of a cut network stays, even if the program that started it is dead.
for (const signal of ["SIGHUP", "SIGTERM"]) process.on(signal, () => undefined);
setInterval(() => undefined, 1000);
writeFileSync(`${path}.part`, `${process.pid} ${far.pid}`);
renameSync(`${path}.part`, path);
