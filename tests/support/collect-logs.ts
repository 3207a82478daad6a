import type { LogLevelName, LogRecord } from "../../src/index.ts";
import { onLog } from "../../src/index.ts";

/** The log records of a test, and a way to wait for some of them. */
export interface CollectedLogs {
  readonly records: LogRecord[];
  /** Messages of one remote logger of one context, in order: `lines("stdout", context.name)`. */
  lines(mitogenName: string, contextName?: string): string[];
  /** Resolves when `isEnough`, which is asked after every record, is true. The test's own timeout bounds the wait. */
  until(isEnough: () => boolean): Promise<void>;
  stop(): void;
}

export function collectLogs(level: LogLevelName = "debug"): CollectedLogs {
  const records: LogRecord[] = [];
  const waiting = new Set<() => void>();
  const stop = onLog(
    (record) => {
      records.push(record);
      for (const look of waiting) look();
    },
    { level },
  );
  return {
    records,
    lines: (mitogenName, contextName) =>
      records
        .filter((record) => record.mitogenName === mitogenName)
        .filter((record) => contextName === undefined || record.logger === `mitogen.ctx.${contextName}`)
        .map((record) => record.mitogenMsg as string),
    until: (isEnough) =>
      new Promise((resolve) => {
        // Waiting for a record does not keep a program alive, so this timer does.
        const hold = setInterval(() => undefined, 60_000);
        const look = (): void => {
          if (!isEnough()) return;
          clearInterval(hold);
          waiting.delete(look);
          resolve();
        };
        waiting.add(look);
        look();
      }),
    stop,
  };
}
