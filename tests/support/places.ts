import type { Context, Router } from "../../src/index.ts";
import { targetsOf } from "./extent.ts";
import { nodes } from "./lab.ts";

/** Where tests have their contexts: a title, and a function that connects one. */
export type Place = readonly [title: string, connect: (router: Router) => Promise<Context>];

/** A context on each of these Nodes, one on Node 12 behind one on Node 26, and, by default, a thread. */
export function placesOn(majors: readonly number[], { thread = true }: { thread?: boolean } = {}): Place[] {
  const node = (major: number) => ({ nodePath: nodes[major] ?? "" });
  return [
    ...targetsOf(majors).map(
      (major): Place => [`a context on Node ${major}`, (router) => router.local(node(major))],
    ),
    [
      "a context behind another, Node 12 behind 26",
      async (router) => router.local({ ...node(12), via: await router.local(node(26)) }),
    ],
    ...(thread ? [["a thread", (router) => router.thread()] satisfies Place] : []),
  ];
}
