import { ExitStatus } from "../exit-status.ts";

/** Signals that ask the program to end. */
const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/** What signals do to the program. */
export interface Signals {
  /** Aborts when the program is asked to end. */
  readonly signal: AbortSignal;
  /** Aborts without a signal, because stdout cannot be written to. */
  readonly stop: (error: NodeJS.ErrnoException) => void;
  /** Whether it was a signal, and not {@link stop}. */
  readonly isInterrupted: () => boolean;
  /** Does work during which a signal ends the program at once, as it ends programs that do not listen. */
  readonly unguarded: <T>(work: () => Promise<T>) => Promise<T>;
  /** Ends the program. */
  readonly exit: (status: number) => void;
}

/** Aborts when the program is asked to end, so that remote work ends first. The second Ctrl-C ends the program at once. */
export function stopOnSignals(): Signals {
  const controller = new AbortController();
  let interrupts = 0;
  let isHungUp = false;
  const exit = (status: number): void => {
    if (!isHungUp) process.exit(status);
    // Node 20 would abort when it cannot restore a terminal that is gone. Its core would hold the passwords.
    process.off("SIGHUP", listener);
    process.kill(process.pid, "SIGHUP");
  };
  const listener = (name: NodeJS.Signals): void => {
    interrupts += 1;
    isHungUp ||= name === "SIGHUP";
    if (interrupts > 1) exit(ExitStatus.Interrupted);
    controller.abort(new DOMException(`The command was interrupted by ${name}`, "AbortError"));
  };
  const listen = (): void => {
    for (const name of SIGNALS) process.on(name, listener);
  };
  listen();
  return {
    signal: controller.signal,
    stop: (error) => {
      // A terminal that is closed may say so before the signal comes.
      isHungUp ||= error.code === "EIO" && process.stdout.isTTY;
      controller.abort(new DOMException("Nobody reads the output", "AbortError"));
    },
    isInterrupted: () => interrupts > 0,
    async unguarded(work) {
      for (const name of SIGNALS) process.off(name, listener);
      try {
        return await work();
      } finally {
        listen();
      }
    },
    exit,
  };
}
