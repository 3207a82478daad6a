// A bare command as a peer.
import { spawn } from "node:child_process";
import { timed } from "../ours.mjs";

/** Milliseconds until a command has ended well. */
export async function timeCommand(command, args) {
  return await timed(() => {
    const child = spawn(command, args, { stdio: ["ignore", "ignore", "inherit"] });
    return new Promise((resolve, reject) => {
      child.on("error", reject);
      child.on("close", (code) =>
        code === 0 ? resolve() : reject(new Error(`${command} ended with ${code}`)),
      );
    });
  });
}
