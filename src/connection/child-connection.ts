import { randomBytes } from "node:crypto";
import { bootCommand, bootWords } from "../bootstrap/command.ts";
import { Handshake, type HandshakeEvent } from "../bootstrap/handshake.ts";
import { History } from "../bootstrap/history.ts";
import { payloadBytes } from "../bootstrap/payload.ts";
import { PROTOCOL_VERSION, type Ready } from "../bootstrap/ready.ts";
import { Deferred } from "../core/deferred.ts";
import { getLogger } from "../core/log.ts";
import {
  CancelledError,
  type ConnectDetails,
  type ConnectStage,
  EofError,
  StreamError,
  TimeoutError,
} from "../errors.ts";
import { encodeValue } from "../wire/encoder.ts";
import { Encoding, encodeFrame } from "../wire/frame.ts";
import type { ConnectionMethod, ConnectOptions } from "./method.ts";
import { printExit, ToolProcess } from "./tool-process.ts";

/** The oldest node that can be a child. */
const MIN_NODE: readonly [number, number] = [12, 22];
const DEFAULT_TIMEOUT_MS = 30_000;
/** A connect that failed is not waited for: its process is told to end at once. */
const FAILED_GRACE_MS = 50;

const log = getLogger("mitogen.connect");

/** A connected child before it has a link: its process, what it said of itself, and the first bytes behind that. */
export interface Connected {
  readonly tool: ToolProcess;
  readonly ready: Ready;
  readonly rest: Buffer;
}

/**
 * One connect, from spawn to greeting. Payload and configuration are written at once, so after the transport is up it takes one round
 * trip. Whatever happens it ends: ready, with an error that says how far it came, or by its timeout.
 */
export class ConnectAttempt<O extends ConnectOptions> {
  readonly #method: ConnectionMethod<O>;
  readonly #options: O;
  readonly #argv: string[];
  readonly #handshake: Handshake;
  readonly #history: History = new History();
  readonly #outcome: Deferred<Connected> = new Deferred();
  readonly #startedAt: number = Date.now();
  #stage: ConnectStage = "spawn";
  #tool: ToolProcess | undefined;
  #timer: NodeJS.Timeout | undefined;
  #isOver = false;

  constructor(method: ConnectionMethod<O>, options: O) {
    this.#method = method;
    this.#options = options;
    const nonce = randomBytes(8).toString("hex");
    const { nodePath } = options;
    const node =
      nodePath === undefined ? method.nodeCommand : typeof nodePath === "string" ? [nodePath] : nodePath;
    const { length } = payloadBytes();
    const words = bootWords(nonce, length, node);
    this.#argv = method.argv(options, {
      words,
      get shellLine() {
        return bootCommand(nonce, length, node);
      },
    });
    this.#handshake = new Handshake(nonce, (noise) => this.onNoise("stdout", noise));
  }

  /** Starts it. `config` is the child's configuration, sent behind the payload. */
  run(config: Readonly<Record<string, unknown>>): Promise<Connected> {
    const timeoutMs = this.#options.timeoutMs || DEFAULT_TIMEOUT_MS;
    this.#timer = setTimeout(() => {
      this.fail(TimeoutError, `connection timed out after ${timeoutMs} ms`, "");
    }, timeoutMs);
    log.debug(`Starting ${this.#argv.map(quoteForLog).join(" ")}`);
    let tool: ToolProcess;
    try {
      tool = new ToolProcess(this.#argv);
    } catch (error) {
      this.fail(StreamError, `could not be started: ${(error as Error).message}`, "", error);
      return this.#outcome.promise;
    }
    this.#tool = tool;
    tool.exited.catch((error) => {
      this.fail(StreamError, `could not be started: ${error.message}`, notFoundHint(error), error);
    });
    if (tool.pid === undefined) return this.#outcome.promise;
    this.#stage = "transport";
    tool.stdout.on("data", this.onStdout);
    tool.stderr.on("data", this.onStderr);
    tool.stdin.write(payloadBytes());
    for (const piece of configFrame(config)) tool.stdin.write(piece);
    // Both streams are read to their end first: the reason often comes last.
    tool.drained().then(
      () => this.onEnded(),
      () => undefined,
    );
    return this.#outcome.promise;
  }

  /** Gives it up: the router or broker shuts down. */
  cancel(): Promise<void> {
    this.fail(CancelledError, "the router was shut down during the connect", "");
    return this.#tool?.end(0) ?? Promise.resolve();
  }

  private readonly onStdout = (chunk: Buffer): void => {
    for (const event of this.#handshake.push(chunk)) this.onEvent(event);
  };

  private readonly onStderr = (chunk: Buffer): void => {
    this.onNoise("stderr", chunk);
  };

  private onNoise(stream: string, bytes: Buffer): void {
    for (const line of this.#history.push(stream, bytes))
      log.debug(`${this.#method.name}: ${stream}: ${line}`);
  }

  private onEvent(event: HandshakeEvent): void {
    switch (event.kind) {
      case "shell":
        this.#stage = "node";
        return;
      case "noNode":
        this.fail(
          EofError,
          `no node was found on the target (${event.system})`,
          "pass nodePath, or put node in the PATH of non-interactive logins",
        );
        return;
      case "oldNode":
        this.failOldNode(event.version);
        return;
      case "ready":
        this.onReady(event.ready, event.rest);
    }
  }

  private onReady(ready: Ready, rest: Buffer): void {
    this.#stage = "ready";
    const [major, minor] = ready.nodeVersion.split(".").map(Number) as [number, number];
    if (major < MIN_NODE[0] || (major === MIN_NODE[0] && minor < MIN_NODE[1])) {
      this.failOldNode(ready.nodeVersion);
      return;
    }
    if (ready.protocolVersion !== PROTOCOL_VERSION) {
      this.fail(
        StreamError,
        `the child speaks protocol ${ready.protocolVersion}, this program ${PROTOCOL_VERSION}`,
        "",
      );
      return;
    }
    const tool = this.#tool as ToolProcess;
    if (!this.finish()) return;
    tool.stdout.off("data", this.onStdout);
    tool.stderr.off("data", this.onStderr);
    tool.leave();
    this.#outcome.resolve({ tool, ready, rest });
  }

  /** The process has ended, or closed its output, without a greeting. */
  private onEnded(): void {
    this.#handshake.end();
    const verdict = this.#method.diagnose?.(this.#history.lines(), this.#options);
    if (verdict !== undefined) {
      this.fail(verdict.type, verdict.message, verdict.hint);
      return;
    }
    const exit = this.#tool?.exit ?? { code: null, signal: null };
    const hint =
      exit.code === 127 || exit.code === 126 ? "see whether nodePath names a node of the target" : "";
    this.fail(EofError, `the process ${printExit(exit)} before the context was ready`, hint);
  }

  private failOldNode(version: string): void {
    this.fail(
      StreamError,
      `node ${version} on the target is too old, ${MIN_NODE.join(".")} is the oldest that works`,
      "pass nodePath for a newer one",
    );
  }

  private fail(
    type: typeof StreamError | typeof TimeoutError,
    what: string,
    hint: string,
    cause?: unknown,
  ): void {
    if (!this.finish()) return;
    const exit = this.#tool?.exit;
    const details: ConnectDetails = {
      stage: this.#stage,
      method: this.#method.name,
      argv: this.#argv,
      exitCode: exit?.code ?? null,
      signal: exit?.signal ?? null,
      stderr: this.#history.toString(),
      durationMs: Date.now() - this.#startedAt,
      hint,
    };
    const said = details.stderr === "" ? "" : `\n${details.stderr}`;
    const cure = hint === "" ? "" : `; ${hint}`;
    const command = this.#argv.map(quoteForLog).join(" ");
    const message = `Cannot connect with ${this.#method.name}(): ${what}${cure}; the command was: ${command}${said}`;
    const error = new type(message, cause === undefined ? {} : { cause });
    Object.defineProperty(error, "details", { value: details, enumerable: true });
    this.#tool?.stdin.destroy();
    void this.#tool?.end(FAILED_GRACE_MS);
    this.#outcome.reject(error);
  }

  private finish(): boolean {
    if (this.#isOver) return false;
    this.#isOver = true;
    clearTimeout(this.#timer);
    return true;
  }
}

function configFrame(config: Readonly<Record<string, unknown>>): Uint8Array[] {
  const dstId = config.contextId as number;
  return encodeFrame({
    encoding: Encoding.CBOR,
    dstId,
    srcId: 0,
    authId: 0,
    handle: 0,
    replyTo: 0,
    body: encodeValue(config),
  });
}

function notFoundHint(error: NodeJS.ErrnoException): string {
  return error.code === "ENOENT" ? `see whether ${error.path} is installed and in PATH` : "";
}

/** For people to read and to paste: long arguments, which are the first stage, are cut. */
function quoteForLog(word: string): string {
  const shown = word.length > 120 ? `${word.slice(0, 60)}…` : word;
  return /^[\w@%+=:,./-]+$/.test(shown) ? shown : `'${shown.replace(/'/g, `'\\''`)}'`;
}
