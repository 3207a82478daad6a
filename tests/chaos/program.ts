/**
 * The program under test: a hop, a target behind it, and one operation. Prints a line of JSON for each thing
 * that happens.
 */
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import {
  AllowAny,
  type Context,
  expose,
  getFile,
  Pool,
  putFile,
  Receiver,
  Router,
  Service,
} from "../../src/index.ts";
import * as remote from "../fixtures/remote/functions.ts";
import * as streams from "../fixtures/remote/streams.ts";
import { detachFor, useCounter } from "./functions.ts";
import { isOfLink, type Plan } from "./plan.ts";

/** The timeout of every wait. */
const TIMEOUT_MS = 8_000;

export interface Setting {
  readonly plan: Plan;
  /** The folder for files. */
  readonly data: string;
  /** The control file of the links. */
  readonly control: string;
}

/** The outcome of one wait. `code` is absent if it went well. */
export interface Outcome {
  readonly name: string;
  readonly endedAt: number;
  readonly code?: string;
  readonly error?: string;
}

export type Event =
  | { readonly event: "connecting" | "begun" }
  | { readonly event: "connected"; readonly hop: number; readonly target: number }
  | { readonly event: "ended"; readonly outcomes: readonly Outcome[] };

async function main({ plan, data, control }: Setting): Promise<void> {
  const router = new Router(undefined, { keepaliveMs: 500 });
  const outcomes: Outcome[] = [];
  const wait = async <T>(name: string, promise: Promise<T>): Promise<T | undefined> => {
    try {
      const value = await promise;
      outcomes.push({ name, endedAt: Date.now() });
      return value;
    } catch (error) {
      const { code = "none" } = error as { code?: string };
      const text = String((error as Error)?.stack ?? error).slice(0, 1_000);
      outcomes.push({ name, endedAt: Date.now(), code, error: text });
      return undefined;
    }
  };
  const start = async (name: string, via?: Context): Promise<Context> => {
    const tool = plan.victim === `tool of the ${name}`;
    if (!tool) return await router.local({ via, timeoutMs: TIMEOUT_MS });
    const link = fileURLToPath(new URL("link.js", import.meta.url));
    const command = isOfLink(plan.action)
      ? [process.execPath, link, control]
      : // A shell that stays, as sudo does.
        ["sh", "-c", '"$@"; exit $?', "sh"];
    return await router.exec({ command, via, nodePath: process.execPath, timeoutMs: TIMEOUT_MS });
  };
  tell({ event: "connecting" });
  const hop = await wait("connect hop", start("hop"));
  const target = hop && (await wait("connect target", start("target", hop)));
  if (hop !== undefined && target !== undefined) {
    const pids = await wait(
      "pids",
      Promise.all([bounded(hop).call(remote.pid), bounded(target).call(remote.pid)]),
    );
    if (pids !== undefined) {
      const [hopPid, targetPid] = pids;
      tell({ event: "connected", hop: hopPid, target: targetPid });
      await operate(plan, router, hop, target, data, wait);
    }
  }
  await wait("router.shutdown", router.shutdown());
  tell({ event: "ended", outcomes });
}

function bounded(context: Context) {
  return context.with({ timeoutMs: TIMEOUT_MS });
}

async function operate(
  { operation }: Plan,
  router: Router,
  hop: Context,
  target: Context,
  data: string,
  wait: <T>(name: string, promise: Promise<T>) => Promise<T | undefined>,
): Promise<void> {
  const source = `${data}/source`;
  // The things that the operations need are made before.
  if (operation === "service") new Pool(router, [new Counter(router)]);
  await wait("warm-up", bounded(target).call(remote.add, 1, 1));
  tell({ event: "begun" });
  const waits: Promise<unknown>[] = [];
  const begin = (name: string, promise: Promise<unknown>): void => void waits.push(wait(name, promise));
  switch (operation) {
    case "first connect":
    case "connect":
      for (let i = 0; i < 3; i++) {
        const via = [hop, target, undefined][i];
        begin(`connect ${i}`, router.local({ via, timeoutMs: TIMEOUT_MS }));
      }
      break;
    case "call":
      for (let i = 0; i < 10; i++) begin(`call ${i}`, bounded(target).call(remote.echoLater, i, i * 50));
      begin("ping", target.ping({ timeoutMs: TIMEOUT_MS }));
      break;
    case "stream":
      begin("stream", readStream(router, target));
      break;
    case "getFile":
      begin("getFile", getFile(target, source, `${data}/copy`, { timeoutMs: TIMEOUT_MS }));
      break;
    case "putFile":
      begin("putFile", putFile(target, `${data}/copy`, source, { timeoutMs: TIMEOUT_MS }));
      break;
    case "chain": {
      const chain = target.chain();
      for (let i = 0; i < 10; i++) chain.callNoReply(remote.echoLater, i, 20);
      begin("chain", chain.with({ timeoutMs: TIMEOUT_MS }).call(remote.add, 1, 2));
      break;
    }
    case "service":
      begin("service", bounded(target).call(useCounter, 50));
      break;
    case "subprocess":
      begin("subprocess", bounded(target).call(remote.startSubprocess));
      begin("call", bounded(target).call(remote.echoLater, 1, 300));
      break;
    case "detach":
      begin("detach", bounded(target).call(detachFor, 500));
      break;
    case "shutdown":
      begin("target.shutdown", target.shutdown());
      begin("hop.shutdown", hop.shutdown());
      break;
  }
  await Promise.all(waits);
}

async function readStream(router: Router, target: Context): Promise<void> {
  const receiver = new Receiver<Uint8Array>(router, { respondent: target });
  const call = bounded(target).call(streams.produce, receiver.toSender(), 500, 64 * 1024);
  call.catch(() => undefined);
  for (let isOver = false; !isOver; ) {
    const message = await receiver.get({ timeoutMs: TIMEOUT_MS, throwDead: false });
    isOver = message.isDead;
  }
  receiver.close();
  await call;
}

class Counter extends Service {
  static override serviceName = "counter";
  #count = 0;

  next(): number {
    this.#count += 1;
    return this.#count;
  }
}
expose(AllowAny)(Counter.prototype, "next");

function tell(event: Event): void {
  // Without a reader, nothing is printed: the harness looks at what is left behind.
  if (existsSync("/proc/self/fd/1")) process.stdout.write(`${JSON.stringify(event)}\n`);
}

await main(JSON.parse(process.argv[2] as string) as Setting);
