/** What makes messages take another way than those before them. */
import type { Context } from "../../src/index.ts";
import { add } from "./functions.ts";

/** `change` begins while whatever else a round does is under way; the round waits for it at its end. */
export interface WayChange {
  readonly name: string;
  change(context: Context): Promise<unknown>;
}

/**
 * A round takes one of these now and then. Whatever decides by itself when to take another way, because a
 * context is called often, is made to decide by these; a new way that can be opened, or left, adds how that
 * is done.
 */
export const WAY_CHANGES: readonly WayChange[] = [
  {
    name: "many calls one after the other",
    async change(context) {
      for (let i = 0; i < 50; i++) await expectSum(context, i);
    },
  },
  {
    name: "many calls at once",
    change: (context) => Promise.all(Array.from({ length: 200 }, (_, i) => expectSum(context, i))),
  },
];

async function expectSum(context: Context, i: number): Promise<void> {
  const sum = await context.call(add, i, 1);
  if (sum !== i + 1) throw new Error(`${i} + 1 was answered by ${sum}`);
}
