/**
 * The process of a hostile child: it greets as a genuine one does (docs/bootstrap.md), and then sends what
 * `HostileFrames` makes of its seed. Its arguments are a plan as JSON, and the words that the connection method
 * appends.
 */
import { once } from "node:events";
import { renameSync, writeFileSync } from "node:fs";
import { Random } from "../support/random.ts";
import { HostileFrames, type World } from "./frames.ts";

export interface Plan {
  readonly seed: number;
  readonly frames: number;
  readonly world: World;
  /** Whether it does not read. */
  readonly isDeaf: boolean;
  /** Whether it ends with bytes that are no frame. */
  readonly endsBadly: boolean;
  /** A text that must not reach it. */
  readonly secretText: string;
  /** The file to which it writes a {@link Came}. */
  readonly report: string;
}

/** How far the child came. */
export interface Came {
  readonly sent: number;
  readonly sawSecret: boolean;
}

const HEADER_BYTES = 26;
/** How long it listens after its last frame. */
const LISTEN_MS = 300;

const plan = JSON.parse(process.argv[2] as string) as Plan;
const boot = process.argv.slice(3);
const [nonce = "", length = ""] = boot.slice(boot.indexOf("-c") + 2);
const { stdin, stdout } = process;
let sent = 0;
let sawSecret = false;
let tail = "";

// The other side closes the pipe when it has had enough.
for (const stream of [stdin, stdout]) stream.on("error", () => process.exit());
process.on("SIGTERM", () => process.exit());
process.on("exit", tell);

stdout.write(`\n${nonce}:ready 1 ${process.versions.node} linux x64 ${process.pid}\n`);
let greeting = Buffer.alloc(0);
const configAt = Number(length);
while (greeting.length < configAt + HEADER_BYTES) {
  const chunk = stdin.read() as Buffer | null;
  if (chunk === null) await once(stdin, "readable");
  else greeting = Buffer.concat([greeting, chunk]);
}
const frames = new HostileFrames(new Random(plan.seed), plan.world, greeting.readUInt32BE(configAt + 2));
if (!plan.isDeaf) stdin.on("data", listen).on("end", () => process.exit());

while (sent < plan.frames) {
  const isDrained = stdout.write(frames.next());
  if (++sent % 200 === 0) tell();
  // Gives the event loop a turn now and then, so that the child reads.
  if (!isDrained) await once(stdout, "drain");
  else if (sent % 50 === 0) await new Promise((resolve) => setImmediate(resolve));
}
if (plan.endsBadly) stdout.write(frames.last());
tell();
setTimeout(() => process.exit(), LISTEN_MS);

function listen(chunk: Buffer): void {
  const text = tail + chunk.toString("latin1");
  if (text.includes(plan.secretText)) sawSecret = true;
  tail = text.slice(-plan.secretText.length);
}

function tell(): void {
  const came: Came = { sent, sawSecret };
  // The child may be killed at any time, so the file is replaced as a whole.
  writeFileSync(`${plan.report}.new`, JSON.stringify(came));
  renameSync(`${plan.report}.new`, plan.report);
}
