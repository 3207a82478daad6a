import { type CallInFlight, callsInFlight } from "../routing/in-flight.ts";
import { oneLine } from "../text/harmless.ts";
import { printAsText } from "../wire/values/inspectable.ts";
import type { Context } from "./context.ts";
import type { CoreRouter } from "./router.ts";

/** The link over which a context is reached, as seen from this process. */
export interface LinkState {
  /** The context at the other end of the link: the one described, or the first hop to it. */
  readonly peer: string;
  /** Bytes that the operating system has not taken yet. Absent for a thread. */
  readonly queuedBytes?: number | undefined;
  /** Bytes sent over the link; the bootstrap counts. */
  readonly bytesSent: number;
  /** Bytes that came over the link. */
  readonly bytesReceived: number;
  /** Messages sent over the link. */
  readonly messagesSent: number;
  /** Messages that came over the link. */
  readonly messagesReceived: number;
  /** When the last bytes arrived over the link. Absent for a thread. */
  readonly lastHeardAt?: Date | undefined;
  /**
   * The bytes that bypassed the link on the short way to the context's main thread. Absent if there is no
   * short way. docs/protocol.md#short-way
   */
  readonly shortWay?: { readonly bytesSent: number; readonly bytesReceived: number } | undefined;
}

/** How a context was made. Facts from the context itself, or from the hop that started it, are claims. */
export interface ConnectionFacts {
  /** The connection method: `ssh`. */
  readonly method: string;
  /** The options that the program gave. Secrets are masked. */
  readonly options: Readonly<Record<string, unknown>>;
  /** The command that was run. Empty for a thread. */
  readonly argv: readonly string[];
  /** The id of the process on its machine. */
  readonly pid: number;
  /** The version of the context's Node: `20.19.5`. */
  readonly nodeVersion: string;
  /** `process.platform` there: `linux`. */
  readonly platform: string;
  /** `process.arch` there: `x64`. */
  readonly arch: string;
  /** When the connect ended, by this process's clock. */
  readonly connectedAt: Date;
  /** The path of the context's debug log on its own machine, if it writes one. */
  debugFile?: string;
}

// Entries live as long as their contexts.
const connections = new WeakMap<Context, ConnectionFacts>();
/** One entry for each router; nothing is kept for each context. */
const links = new WeakMap<CoreRouter, (contextId: number) => LinkState | undefined>();

/** Stores how a context was made. */
export function noteConnection(context: Context, facts: ConnectionFacts): void {
  connections.set(context, facts);
}

/** Stores the function that returns the links to contexts of a router. */
export function noteLinks(router: CoreRouter, linkTo: (contextId: number) => LinkState | undefined): void {
  links.set(router, linkTo);
}

export function connectionOf(context: Context): ConnectionFacts | undefined {
  return connections.get(context);
}

/** What this process knows of a context at this moment. Prints as text. */
export class ContextDescription {
  /** The context's id. */
  readonly contextId: number;
  /** The context's name. */
  readonly name: string;
  /** The name of the context that started it. Absent for children of this process. */
  readonly via: string | undefined;
  /** Why the context can no longer be reached. Absent while it can. */
  readonly goneReason: string | undefined;
  /** Absent if another process made the context. */
  readonly connection: ConnectionFacts | undefined;
  /**
   * The link over which the context is reached. Absent if the context is gone, or in a process other than the
   * program.
   */
  readonly link: LinkState | undefined;
  /** This process's pending calls to the context, oldest first. */
  readonly calls: readonly CallInFlight[];

  /** @internal */
  constructor(context: Context) {
    this.contextId = context.contextId;
    this.name = context.name;
    this.via = context.via?.name;
    this.goneReason = context.goneReason;
    this.connection = connectionOf(context);
    const isThere = context.goneReason === undefined;
    this.link = isThere ? links.get(context.router)?.(context.contextId) : undefined;
    this.calls = callsInFlight(context.router.handlers, context.contextId);
  }

  /** Several lines for people. No secret is in them, and no control character. */
  toString(): string {
    const { connection, link } = this;
    const lines = [
      `context ${this.contextId} '${this.name}': ${this.goneReason === undefined ? "connected" : `gone: ${this.goneReason}`}`,
    ];
    if (this.via !== undefined) lines.push(`via: ${this.via}`);
    if (connection !== undefined) lines.push(...printConnection(connection));
    if (link !== undefined) lines.push(printLink(link));
    lines.push(`calls in flight: ${this.calls.length}`);
    for (const call of this.calls) lines.push(`  ${call.function} of ${call.module}, for ${call.forMs} ms`);
    // Names and other texts come from the context unchecked.
    return lines.map((line) => oneLine(line)).join("\n  ");
  }
}

printAsText(ContextDescription);

function printConnection(facts: ConnectionFacts): string[] {
  const options = Object.keys(facts.options).map((key) => `${key}: ${JSON.stringify(facts.options[key])}`);
  const lines = [`method: ${facts.method}(${options.length === 0 ? "" : `{ ${options.join(", ")} }`})`];
  // The first stage is one long word, whose beginning is enough to recognise it.
  const argv = facts.argv.map((word) => JSON.stringify(word.length > 120 ? `${word.slice(0, 60)}…` : word));
  if (argv.length > 0) lines.push(`command: ${argv.join(" ")}`);
  lines.push(`process: pid ${facts.pid}, node ${facts.nodeVersion}, ${facts.platform} ${facts.arch}`);
  lines.push(`connected: ${facts.connectedAt.toISOString()}`);
  if (facts.debugFile !== undefined) lines.push(`debug log there: ${facts.debugFile}`);
  return lines;
}

function printLink(link: LinkState): string {
  const heard =
    link.lastHeardAt === undefined ? "" : `, last heard of ${Date.now() - link.lastHeardAt.getTime()} ms ago`;
  const queued = link.queuedBytes === undefined ? "" : `, ${link.queuedBytes} bytes queued`;
  const { shortWay } = link;
  const short =
    shortWay === undefined
      ? ""
      : `; the short way: ${shortWay.bytesSent} bytes sent, ${shortWay.bytesReceived} received`;
  return `link to ${link.peer}: ${link.messagesSent} messages (${link.bytesSent} bytes) sent, ${link.messagesReceived} (${link.bytesReceived} bytes) received${queued}${heard}${short}`;
}
