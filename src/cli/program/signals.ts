import { ExitStatus } from "../exit-status.ts";

/** Signals that ask the program to end. */
const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/** Aborts when the program is asked to end, so that remote work ends first. The second Ctrl-C ends the program at once. */
export function stopOnSignals(): {
  readonly signal: AbortSignal;
  /** Aborts without a signal. */
  readonly stop: () => void;
  readonly isInterrupted: () => boolean;
} {
  const controller = new AbortController();
  let interrupts = 0;
  for (const name of SIGNALS) {
    process.on(name, () => {
      interrupts += 1;
      if (interrupts > 1) process.exit(ExitStatus.Interrupted);
      controller.abort(new DOMException(`The command was interrupted by ${name}`, "AbortError"));
    });
  }
  return {
    signal: controller.signal,
    stop: () => controller.abort(new DOMException("Nobody reads the output", "AbortError")),
    isInterrupted: () => interrupts > 0,
  };
}
