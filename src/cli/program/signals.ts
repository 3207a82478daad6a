import { ExitStatus } from "../exit-status.ts";

/** Signals that ask the program to end. */
const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/** What signals do to the program. */
export interface Signals {
  /** Aborts when the program is asked to end. */
  readonly signal: AbortSignal;
  /** Aborts without a signal. */
  readonly stop: () => void;
  /** Whether it was a signal, and not {@link stop}. */
  readonly isInterrupted: () => boolean;
  /** Does work during which a signal ends the program at once, as it ends programs that do not listen. */
  readonly unguarded: <T>(work: () => Promise<T>) => Promise<T>;
}

/** Aborts when the program is asked to end, so that remote work ends first. The second Ctrl-C ends the program at once. */
export function stopOnSignals(): Signals {
  const controller = new AbortController();
  let interrupts = 0;
  const listener = (name: NodeJS.Signals): void => {
    interrupts += 1;
    if (interrupts > 1) process.exit(ExitStatus.Interrupted);
    controller.abort(new DOMException(`The command was interrupted by ${name}`, "AbortError"));
  };
  const listen = (): void => {
    for (const name of SIGNALS) process.on(name, listener);
  };
  listen();
  return {
    signal: controller.signal,
    stop: () => controller.abort(new DOMException("Nobody reads the output", "AbortError")),
    isInterrupted: () => interrupts > 0,
    async unguarded(work) {
      for (const name of SIGNALS) process.off(name, listener);
      try {
        return await work();
      } finally {
        listen();
      }
    },
  };
}
