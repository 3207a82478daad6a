import type { Formatter } from "picocolors/types.js";
import type { HostStatus } from "../../fleet/result.ts";
import type { Terminal } from "./terminal.ts";

/** Colours that can be read on light and dark grounds, without those of statuses. */
const NAMES = ["cyan", "blue", "magenta", "cyanBright", "blueBright", "magentaBright"] as const;

/** The colour of a host: the same in every run. */
export function hostColour(host: string, { colours }: Terminal): Formatter {
  let sum = 0;
  for (let i = 0; i < host.length; i++) sum = (sum * 31 + host.charCodeAt(i)) >>> 0;
  return colours[NAMES[sum % NAMES.length] as (typeof NAMES)[number]];
}

/** The colour of a status. */
export function statusColour(status: HostStatus, { colours }: Terminal): Formatter {
  switch (status) {
    case "ok":
      return colours.green;
    case "failed":
      return colours.red;
    case "unreachable":
      return colours.yellow;
    case "skipped":
      return colours.dim;
  }
}
