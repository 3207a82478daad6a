// What the first script does, without a library: starts another Node, sends it a message, gets an answer,
// ends.
import { spawn } from "node:child_process";

const ECHO = 'process.stdin.on("data", (bytes) => process.stdout.write(bytes))';

const child = spawn(process.execPath, ["-e", ECHO], { stdio: ["pipe", "pipe", "inherit"] });
child.stdout.once("data", () => child.stdin.end());
child.on("close", () => console.log(123));
child.stdin.write("myFirstFunction");
