import type { ModuleStats } from "../loader/serve/responder.ts";

/** The counters of a router. */
export interface RouterStats extends ModuleStats {
  /** Milliseconds since the router was made. */
  uptimeMs: number;
  /** Children of this process that are connected now. */
  contextCount: number;
  /** Children of this process that were ever connected. */
  connectCount: number;
  /** Connects of this program that failed. */
  failedConnectCount: number;
  /** Milliseconds in which at least one connect of this program was under way, to any place in the tree. */
  connectMs: number;
  /** Messages to children of this process. Those to threads are not counted. */
  messagesSent: number;
  /** Messages from children of this process. Those of threads are not counted. */
  messagesReceived: number;
  /** Bytes to children of this process, the bootstrap included. Those to threads are not counted. */
  bytesSent: number;
  /** Bytes from children of this process. Those of threads are not counted. */
  bytesReceived: number;
}

/** Formats the counters as one line for the log. */
export function printStats(stats: RouterStats): string {
  const { uptimeMs, connectCount, contextCount, failedConnectCount, connectMs } = stats;
  return [
    `${connectCount} contexts connected in ${connectMs} ms, ${contextCount} are left, ${failedConnectCount} connects failed`,
    `${stats.messagesSent} messages (${stats.bytesSent} bytes) sent, ${stats.messagesReceived} (${stats.bytesReceived} bytes) received`,
    `${stats.moduleCount} modules (${stats.moduleBytes} bytes) sent in ${stats.batchCount} batches, compiled in ${stats.compileMs} ms`,
    `${stats.requestCount} modules asked for, ${stats.refusedCount} refused`,
    `${uptimeMs} ms since the start`,
  ].join("; ");
}
