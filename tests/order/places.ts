/** The places where rounds are played. */
import { join } from "node:path";
import type { Context, Router } from "../../src/index.ts";
import { repoRoot } from "../support/lab.ts";

export interface Place {
  readonly name: string;
  /** `nodePath` is the target's. Hops run the program's node. */
  connect(router: Router, nodePath: string): Promise<Context>;
}

/**
 * A delay, so that bytes arrive later, and cut in other places than they were written, and the context counts as one
 * of another machine.
 */
const DELAY_MS = 2;
const PROXY = join(repoRoot, "tests/support/delay-proxy.mjs");
const DELAYED = [process.execPath, PROXY, "--delay-ms", `${DELAY_MS}`, "--"];

export const PLACES: readonly Place[] = [
  { name: "a local context", connect: (router, nodePath) => router.local({ nodePath }) },
  {
    name: "a context behind a hop",
    connect: async (router, nodePath) => router.local({ via: await router.local(), nodePath }),
  },
  {
    name: "a context far away",
    connect: (router, nodePath) => router.exec({ command: DELAYED, nodePath }),
  },
  {
    name: "a context behind a hop far away",
    connect: async (router, nodePath) =>
      router.local({ via: await router.exec({ command: DELAYED, nodePath: process.execPath }), nodePath }),
  },
];
