/** Events after which messages take another way than those before them. */
import type { Context } from "../../src/index.ts";
import { add } from "./functions.ts";

/** `change` begins while the other events of a round are under way. The round waits for it at the end. */
export interface WayChange {
  readonly name: string;
  change(context: Context): Promise<unknown>;
}

/**
 * A round takes one of these now and then. Some calls take another way because a context is called often: these
 * changes cause that. When a new way is added, a change that opens or leaves it belongs
 * here.
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
