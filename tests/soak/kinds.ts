/** The kinds of work that a soak repeats. */
import { rmSync } from "node:fs";
import { join } from "node:path";
import { getFile, putFile, Receiver } from "../../src/index.ts";
import * as remote from "../fixtures/remote/functions.ts";
import * as streams from "../fixtures/remote/streams.ts";
import * as upwards from "../fixtures/remote/upwards.ts";
import type { Stage } from "./stage.ts";

/** One kind of work, how often the long form does it, and how often at once. */
export interface Kind {
  readonly name: string;
  readonly count: number;
  readonly atOnce: number;
  /** How often `once` does it; by default once. */
  readonly batch?: number;
  /** Whether the short form leaves it out, because other kinds cover it. */
  readonly isLongOnly?: boolean;
  once(stage: Stage): Promise<unknown>;
}

/** The batch of kinds that a context does by itself. */
const BATCH = 250;

const ignore = (): undefined => undefined;

export const KINDS: readonly Kind[] = [
  {
    name: "calls",
    count: 1_000_000,
    atOnce: 500,
    once: ({ context }) => context.call(remote.add, 1, 2),
  },
  {
    name: "requests of the context to the program",
    count: 1_000_000,
    atOnce: 2,
    batch: BATCH,
    once: ({ context, handle }) => context.call(upwards.ask, handle, BATCH, BATCH),
  },
  {
    name: "service calls of the context to the program",
    count: 200_000,
    isLongOnly: true,
    atOnce: 2,
    batch: BATCH,
    once: ({ context, service }) => context.call(upwards.callService, service, BATCH, BATCH),
  },
  {
    name: "calls of the context to one below",
    count: 200_000,
    isLongOnly: true,
    atOnce: 2,
    batch: BATCH,
    once: async (stage) => stage.context.call(upwards.callBelow, await stage.below(), BATCH, BATCH),
  },
  {
    name: "calls behind the context",
    count: 200_000,
    isLongOnly: true,
    atOnce: 500,
    once: async (stage) => (await stage.below()).call(remote.add, 1, 2),
  },
  {
    name: "messages to the context",
    count: 1_000_000,
    isLongOnly: true,
    atOnce: 2,
    batch: BATCH,
    once: async (stage) => upwards.send(await stage.sink(), BATCH),
  },
  {
    name: "messages of the context",
    count: 1_000_000,
    atOnce: 2,
    batch: BATCH,
    once: (stage) => stage.context.call(upwards.send, stage.inbox(), BATCH),
  },
  {
    name: "connects",
    count: 2_000,
    atOnce: 4,
    once: async ({ router }) => {
      const context = await router.local();
      await context.call(remote.add, 1, 1);
      await context.shutdown();
    },
  },
  {
    name: "receivers",
    count: 10_000,
    atOnce: 20,
    once: async ({ router, context }) => {
      const receiver = new Receiver(router, { respondent: context });
      await receiver.get({ timeoutMs: 0 }).catch(ignore);
      receiver.close();
    },
  },
  {
    name: "aborted calls",
    count: 10_000,
    atOnce: 20,
    once: async ({ context }) => {
      const abort = new AbortController();
      const call = context.with({ signal: abort.signal, timeoutMs: 60_000 }).call(remote.echoLater, 1, 5);
      abort.abort();
      await call.catch(ignore);
      // The function goes on for a while, but ends before many more run.
      await context.call(remote.add, 1, 1);
    },
  },
  {
    name: "streams",
    count: 10_000,
    atOnce: 5,
    once: async ({ context }) => {
      for await (const value of context.stream(streams.count, 5)) void value;
    },
  },
  {
    name: "streams that are left",
    count: 10_000,
    atOnce: 5,
    once: async ({ context }) => {
      for await (const value of context.stream(streams.count, 1_000)) if (value === 2) break;
    },
  },
  {
    name: "failed connects",
    count: 10_000,
    atOnce: 4,
    once: ({ router }) => router.exec({ command: ["/nonexistent/tool"] }).catch(ignore),
  },
  {
    name: "transfers",
    count: 10_000,
    atOnce: 2,
    once: async ({ context, folder }) => {
      const name = join(folder, String(Math.random()));
      await putFile(context, name, Buffer.from("x".repeat(1_000)));
      await getFile(context, name, `${name}.copy`);
      for (const each of [name, `${name}.copy`]) rmSync(each);
    },
  },
];
