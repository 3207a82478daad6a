/** How a process ended. Both are null if the process was never started. */
export interface ProcessExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** Returns how a process ended, for a sentence. A shell's code above 128 means that a signal ended its command. */
export function printExit({ code, signal }: ProcessExit): string {
  if (signal !== null) return `was ended by ${signal}`;
  if (code !== null && code > 128 && code < 160) return `exited with code ${code} (signal ${code - 128})`;
  return `exited with code ${code}`;
}
