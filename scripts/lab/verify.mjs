// Checks that a tool really carries bytes to a node at the far end and back.
import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";

const ECHO = "process.stdin.pipe(process.stdout)";
const BYTES = 300_000;
const STATUS = 7;
const LIMIT_MS = 60_000;

/** Rejects unless `node` behind `argv` echoes random bytes unchanged and the exit status arrives. */
export async function verifyTool(argv, { node = "node", wrap = (words) => words } = {}) {
  const sent = randomBytes(BYTES);
  // The shell in front of the node is how the library will start it.
  const words = wrap(["sh", "-c", `"$0" -e '${ECHO}'; exit ${STATUS}`, node]);
  const { code, stdout, stderr } = await talk([...argv, ...words], sent);
  if (!stdout.equals(sent)) {
    const got = stdout.length < 500 ? stdout : `${stdout.length} bytes`;
    throw new Error(`${argv.join(" ")} does not carry bytes unchanged: ${got}\n${stderr}`);
  }
  if (code !== STATUS)
    throw new Error(`${argv.join(" ")} ended with ${code} instead of ${STATUS}\n${stderr}`);
}

/** One word for a POSIX shell. */
export function quote(word) {
  return `'${word.replaceAll("'", `'\\''`)}'`;
}

function talk([command, ...args], input) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { timeout: LIMIT_MS });
    const output = { stdout: [], stderr: [] };
    for (const [name, chunks] of Object.entries(output))
      child[name].on("data", (chunk) => chunks.push(chunk));
    child.once("error", reject);
    child.once("close", (code, signal) => {
      const stdout = Buffer.concat(output.stdout);
      resolve({ code: code ?? signal, stdout, stderr: Buffer.concat(output.stderr).toString() });
    });
    child.stdin.on("error", () => {}); // The reason is on stderr.
    child.stdin.end(input);
  });
}
