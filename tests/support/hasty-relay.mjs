// Passes stdio on to a command and back, the command's output a little late, and ends as soon as the command does.
// Output that it still holds is lost, as with `buildah run --isolation chroot`.
//   node hasty-relay.mjs command args…
import { spawn } from "node:child_process";

const LATE_MS = 100;
const [command, ...args] = process.argv.slice(2);
const child = spawn(command, args, { stdio: ["pipe", "pipe", "inherit"] });
child.stdin.on("error", () => {});
process.stdin.pipe(child.stdin);
child.stdout.on("data", (chunk) => setTimeout(() => process.stdout.write(chunk), LATE_MS));
child.on("exit", (code) => process.exit(code ?? 1));
