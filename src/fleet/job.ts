import type { Context } from "../core/context.ts";
import type { FunctionName } from "../functions/function-name.ts";
import type { HostConnection } from "./engine/connections.ts";
import type { WorkRequest } from "./engine/hop-messages.ts";
import type { Connection, Work, WorkLimits, WorkResult, WorkTools } from "./engine/host-run.ts";
import { runOnHost } from "./engine/host-run.ts";

/** The work of a run, as it is done from here and from hops. */
export interface Job<T> {
  readonly work: Work<T>;
  readonly limits: WorkLimits;
  /** The same for a hop. Absent if only this program can do it. Throws for a function that cannot travel. */
  readonly request?: () => { readonly request: WorkRequest; readonly fn?: FunctionName };
}

/** A host of a fleet. */
export interface FleetMember extends Connection {
  /** Resolves when the first connect has ended in any way. */
  readonly settled: Promise<void>;
  readonly wasConnected: boolean;
  readonly context: Context | undefined;
  /** Does the work. Never rejects. `givenUp` aborts with a `GivenUp`. */
  work<T>(job: Job<T>, givenUp: AbortSignal, emit: WorkTools["emit"]): Promise<WorkResult<T>>;
}

/** A host that this process connects, or from one of its contexts. */
export function ownMember(connection: HostConnection): FleetMember {
  return Object.assign(connection, {
    work: <T>({ work, limits }: Job<T>, givenUp: AbortSignal, emit: WorkTools["emit"]) =>
      runOnHost(connection, work, limits, givenUp, emit),
  });
}
