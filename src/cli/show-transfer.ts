import type { OptionTable } from "./command.ts";
import type { TransferResult } from "./transfers/transfer-work.ts";
import { UsageError } from "./usage-error.ts";

export const TIMES_OPTION: OptionTable = {
  times: { type: "boolean", text: "keep the times of the files" },
};

const UNITS = ["bytes", "KiB", "MiB", "GiB", "TiB"];

/** One line for a transfer: `3 files, 1.5 MiB`; for rsync what it printed, if it did. */
export function showTransfer(result: TransferResult): string | undefined {
  if ("stdout" in result) return result.stdout.trimEnd() || undefined;
  const bytes = result.reduce((sum, file) => sum + file.bytes, 0);
  return `${result.length} ${result.length === 1 ? "file" : "files"}, ${showBytes(bytes)}`;
}

function showBytes(bytes: number): string {
  let amount = bytes;
  let unit = 0;
  while (amount >= 1024 && unit < UNITS.length - 1) {
    amount /= 1024;
    unit++;
  }
  return `${amount < 100 && unit > 0 ? amount.toPrecision(3) : Math.round(amount)} ${UNITS[unit]}`;
}

/** Throws a UsageError if two files would get the same name, or one has none. */
export function checkNames(names: readonly string[], command: string): void {
  for (const [index, name] of names.entries()) {
    if (name === "" || name === "." || name === "..")
      throw new UsageError(`"${name}" is not the name of a file`, command);
    if (names.indexOf(name) !== index) {
      throw new UsageError(
        `Two of the files are named "${name}", and both would get the same path; copy them with two commands`,
        command,
      );
    }
  }
}
