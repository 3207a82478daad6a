/** The functions that the program calls in its contexts. */
import { econtext } from "../../src/index.ts";

/** Calls the program's service `times` times. */
export async function useCounter(times: number): Promise<number> {
  const { router } = econtext();
  const program = router.contextById(0);
  let last = 0;
  for (let i = 0; i < times; i++) {
    last = Number(await program.with({ timeoutMs: 5_000 }).callService("counter", "next"));
  }
  return last;
}

/** Detaches, and ends after `ms`. */
export async function detachFor(ms: number): Promise<void> {
  await econtext().detach();
  setTimeout(() => process.exit(), ms);
}
