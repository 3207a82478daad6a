/**
 * The process of a hostile child: it greets as a genuine one does (docs/bootstrap.md), and then sends what
 * `HostileFrames` makes of its seed. Its arguments are a plan as JSON, and what the connection method puts
 * behind that.
 */
import { once } from "node:events";
import { renameSync, writeFileSync } from "node:fs";
import { Random } from "../support/random.ts";
import { HostileFrames, type World } from "./frames.ts";

export interface Plan {
  readonly seed: number;
  readonly frames: number;
  readonly world: World;
  /** It does not read what it is sent. */
  readonly isDeaf: boolean;
  /** It ends with something that is no frame. */
  readonly endsBadly: boolean;
  /** What must not come to it. */
  readonly secretText: string;
  /** Where it writes how far it came. */
  readonly report: string;
}

/** What is written there. */
export interface Came {
  readonly sent: number;
  readonly sawSecret: boolean;
}

const HEADER_BYTES = 26;
/** How long it waits for what is still said to it. */
const LISTEN_MS = 300;

const plan = JSON.parse(process.argv[2] as string) as Plan;
const boot = process.argv.slice(3);
const [nonce = "", length = ""] = boot.slice(boot.indexOf("-c") + 2);
const { stdin, stdout } = process;
let sent = 0;
let sawSecret = false;
let tail = "";

// Whoever has had enough closes the pipe.
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
  // A turn of the event loop now and then, to hear.
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
  // It may be killed at any time: what is read is always whole.
  writeFileSync(`${plan.report}.new`, JSON.stringify(came));
  renameSync(`${plan.report}.new`, plan.report);
}
