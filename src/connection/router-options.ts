import { environment, flag, integer, interval, limit } from "../options/option-types.ts";
import type { OptionTable } from "../options/options.ts";
import { type Provision, provision } from "./methods/method.ts";

/** Options of a `Router`. */
export interface RouterOptions {
  /** The largest message in bytes, at least 64 KiB; 128 MiB by default. Inherited by every context. */
  readonly maxMessageBytes?: number;
  /** Whether contexts may reach only those above them; false by default. Inherited. */
  readonly unidirectional?: boolean;
  /** How many connects may be under way at once; 32 by default. Further ones wait. */
  readonly connectConcurrency?: number;
  /**
   * After this long without a byte from a child, in milliseconds, the child is asked for a sign of life. After three such
   * intervals it is considered dead. A context on another machine asks its parent in the same way, and ends after four. 15,000
   * by default; 0 never asks. Inherited.
   */
  readonly keepaliveMs?: number;
  /**
   * What to do for targets without node, unless a connect says otherwise. False by default. Hops inherit it. See
   * docs/provision.md.
   */
  readonly provision?: Provision;
  /**
   * The executables to bring, by system: `{ "linux-arm64": "/opt/node-arm64" }`. Each is a file, or an unpacked
   * distribution of Node.
   */
  readonly runtimes?: Readonly<Record<string, string>>;
}

export const DEFAULT_KEEPALIVE_MS = 15_000;
export const DEFAULT_CONNECT_CONCURRENCY = 32;
/** The library's own messages, such as the configuration and dead messages, must fit. */
const MIN_MESSAGE_BYTES = 64 * 1024;
/** The limit of the length field: docs/protocol.md#frames. */
const MAX_MESSAGE_BYTES = 0xffffffff;

export const ROUTER_OPTIONS: OptionTable<RouterOptions> = {
  maxMessageBytes: integer(MIN_MESSAGE_BYTES, MAX_MESSAGE_BYTES),
  unidirectional: flag,
  connectConcurrency: limit,
  keepaliveMs: interval,
  provision,
  runtimes: environment,
};
