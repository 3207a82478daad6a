/** What the program's contexts do. */
import { econtext } from "../../src/index.ts";

/** Asks the program's service so many times. */
export async function useCounter(times: number): Promise<number> {
  const { router } = econtext();
  const program = router.contextById(0);
  let last = 0;
  for (let i = 0; i < times; i++) {
    last = Number(await program.with({ timeoutMs: 5_000 }).callService("counter", "next"));
  }
  return last;
}

/** Goes its own way, and ends soon. */
export async function detachFor(ms: number): Promise<void> {
  await econtext().detach();
  setTimeout(() => process.exit(), ms);
}
