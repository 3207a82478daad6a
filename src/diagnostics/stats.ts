import type { ModuleStats } from "../loader/serve/responder.ts";

/** What a router has done so far. */
export interface RouterStats extends ModuleStats {
  /** Milliseconds since the router was made. */
  uptimeMs: number;
  /** Children of this process connected now, and in all. */
  contextCount: number;
  /** Children of this process that were ever connected. */
  connectCount: number;
  /** Connects that failed, and milliseconds in which connects were under way, wherever in the tree. */
  failedConnectCount: number;
  /** Milliseconds in which connects were under way, wherever in the tree. */
  connectMs: number;
  /** Over the links to children of this process; bytes with the bootstrap. Links to threads are not counted. */
  messagesSent: number;
  /** Messages from children of this process. Those of threads are not counted. */
  messagesReceived: number;
  /** Bytes to children of this process, with the bootstrap. Those of threads are not counted. */
  bytesSent: number;
  /** Bytes from children of this process. Those of threads are not counted. */
  bytesReceived: number;
}

/** One line for the log. */
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
