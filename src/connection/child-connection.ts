import { randomBytes } from "node:crypto";
import { bootCommand, bootWords, commandFor, guardLine, MARK_SHELL } from "../bootstrap/command.ts";
import { configFrame } from "../bootstrap/config-frame.ts";
import { Handshake, type HandshakeEvent } from "../bootstrap/handshake.ts";
import { History } from "../bootstrap/history.ts";
import { payloadBytes } from "../bootstrap/payload.ts";
import { PROTOCOL_VERSION, type Ready } from "../bootstrap/ready.ts";
import { Deferred } from "../core/deferred.ts";
import { getLogger } from "../core/log.ts";
import { commandLine } from "../core/option-types.ts";
import { show, takeOption } from "../core/options.ts";
import { CancelledError, type ConnectStage, StreamError } from "../errors.ts";
import { encodeFrame } from "../wire/frame.ts";
import { messageOf } from "../wire/thrown.ts";
import { connectFailure, type Failure, printCommand } from "./connect-failure.ts";
import { Conversation } from "./conversation.ts";
import { Countdown } from "./countdown.ts";
import { echoed, nodeTooOld, noNode, notStarted, systemOf, timedOut, whyEnded } from "./diagnosis.ts";
import type { PasswordOptions } from "./dialogue.ts";
import { otherShell, outputElsewhere, readsAllInput } from "./login-scripts.ts";
import { type BootLine, type ConnectionMethod, type ConnectOptions, DEFAULT_CONNECT_MS } from "./method.ts";
import type { OpenProvisioner, Provisioning, ProvisionTarget } from "./runtime/plan.ts";
import { findTerminal, type Terminal } from "./terminal.ts";
import { printExit, ToolProcess } from "./tool-process.ts";

/** The oldest node that can be a child. */
const MIN_NODE: readonly [number, number] = [12, 22];
/** When the time is up: how long a program that reads all its input may take to end once there is no more. */
const LAST_INPUT_MS = 500;
/** How long our own command may take that begins only then. */
const LAST_WORDS_MS = 10_000;
/** A connect that failed is not waited for: its process is told to end at once. */
const FAILED_GRACE_MS = 50;
/** So much of the payload is nobody's words but our own, coming back. */
const ECHO_BYTES = 16;

const log = getLogger("mitogen.connect");

/** A connected child before it has a link: its process, what it said of itself, and the first bytes behind that. */
export interface Connected {
  readonly tool: ToolProcess;
  readonly ready: Ready;
  readonly rest: Buffer;
  /** The command as it was run. */
  readonly argv: readonly string[];
}

/** Of a connect that is tried once more. */
export interface EarlierTries {
  /** When the first began. */
  readonly startedAt: number;
  /** The last has failed without a word. */
  readonly wasSilent: boolean;
  /** The target's own node is of no use: it is not looked for. */
  readonly isWithoutNode?: boolean;
}

/**
 * One connect, from spawn to greeting. Where the tool asks nothing, payload and configuration are written at once, so after the transport is
 * up it takes one round trip. Whatever happens it ends: ready, with an error that says how far it came, or by its timeout.
 */
export class ConnectAttempt<O extends ConnectOptions> {
  readonly #method: ConnectionMethod<O>;
  readonly #options: O;
  readonly #nonce: string = randomBytes(8).toString("hex");
  #history: History = new History();
  readonly #outcome: Deferred<Connected> = new Deferred();
  readonly #startedAt: number;
  readonly #wasSilent: boolean;
  readonly #isWithoutNode: boolean;
  readonly #openProvisioner: OpenProvisioner | undefined;
  #provisioning: Provisioning | undefined;
  /** Never settles but for the end of a connect that fails. */
  readonly #over: Deferred<never> = new Deferred();
  #argv: string[];
  #handshake: Handshake;
  #conversation: Conversation | undefined;
  #firstBytes: readonly Uint8Array[] = [];
  #hasSentThem = false;
  #stage: ConnectStage = "spawn";
  #system: { platform?: string; arch?: string } = {};
  /** The end of what came that may be the beginning of an echo. */
  #heard: Buffer = Buffer.alloc(0);
  #tool: ToolProcess | undefined;
  #timer: Countdown | undefined;
  /** What it means that the process ends, once the time is up. */
  #whyEnded: ((end: string) => Failure) | undefined;
  #extend: (() => void) | undefined;
  #isOver = false;
  #reaped: Promise<void> = Promise.resolve();

  /** Throws for options that make no command line. */
  constructor(
    method: ConnectionMethod<O>,
    options: O,
    earlier?: EarlierTries,
    openProvisioner?: OpenProvisioner,
  ) {
    this.#method = method;
    this.#options = options;
    this.#startedAt = earlier?.startedAt ?? Date.now();
    this.#wasSilent = earlier?.wasSilent === true;
    this.#isWithoutNode = earlier?.isWithoutNode === true;
    this.#openProvisioner = openProvisioner;
    this.#over.promise.catch(() => undefined);
    this.#argv = this.argvFor(this.bootLine(false));
    this.#handshake = this.newHandshake();
  }

  /** Starts it. `config` is the child's configuration, sent behind the payload. */
  run(config: Readonly<Record<string, unknown>>): Promise<Connected> {
    const timeoutMs = this.#options.timeoutMs || DEFAULT_CONNECT_MS;
    // Those of all tries together.
    const leftMs = Math.max(1, timeoutMs - (Date.now() - this.#startedAt));
    const fail = (): void => {
      const question = this.#conversation?.openText ?? "";
      this.fail(timedOut(this.#method.name, this.#stage, timeoutMs, question, this.#history.toString()));
    };
    this.#timer = new Countdown(leftMs, () => {
      if (!this.endInput(timeoutMs, fail)) fail();
    });
    this.#firstBytes = [
      Buffer.from(guardLine(this.#nonce)),
      payloadBytes(),
      ...encodeFrame(configFrame(config)),
    ];
    this.guard(() => {
      const { terminal = "never" } = this.#method.dialogue?.(this.#options, this.bootLine(false)) ?? {};
      if (terminal === "always" || terminal === "preferred") void this.startOnTerminal(terminal === "always");
      else this.start(undefined);
    });
    return this.#outcome.promise;
  }

  /** Resolves when the process of a connect that has failed is gone too. */
  get reaped(): Promise<void> {
    return this.#reaped;
  }

  /** Gives it up; its error says why. */
  cancel(why: string): Promise<void> {
    this.fail({ type: CancelledError, message: why, hint: "" });
    return this.#tool?.end(0) ?? Promise.resolve();
  }

  private async startOnTerminal(isRequired: boolean): Promise<void> {
    let terminal: Terminal | undefined;
    try {
      terminal = await findTerminal();
    } catch (error) {
      if (isRequired) this.fail({ type: StreamError, message: messageOf(error), hint: "", cause: error });
    }
    if (!this.#isOver) this.guard(() => this.start(terminal));
  }

  /** A method may be the program's own: what it throws, now or in the middle of a conversation, fails the connect and nothing else. */
  private guard(step: () => void): void {
    try {
      step();
    } catch (error) {
      const message = `the method failed: ${error instanceof Error ? error.message : show(error)}`;
      this.fail({ type: StreamError, message, hint: "", cause: error });
    }
  }

  private start(terminal: Terminal | undefined): void {
    const boot = this.bootLine(terminal !== undefined);
    this.#argv = this.argvFor(boot);
    const dialogue = this.#method.dialogue?.(this.#options, boot);
    const using = terminal === undefined ? "" : ` on a terminal of ${terminal.name}`;
    log.debug(`Starting ${printCommand(this.#argv)}${using}`);
    let tool: ToolProcess;
    try {
      tool = new ToolProcess(this.#argv, { terminal, mark: this.#nonce });
    } catch (error) {
      this.fail(notStarted(error as Error));
      return;
    }
    this.#tool = tool;
    this.#hasSentThem = false;
    tool.exited.catch((error) => this.fail(notStarted(error)));
    if (tool.pid === undefined) return;
    this.#stage = "transport";
    const { password } = this.#options as PasswordOptions;
    this.#conversation =
      dialogue &&
      new Conversation(dialogue, password, {
        type: (text) => tool.promptIn.write(`${text}\n`),
        fail: (verdict, cause) => this.fail({ ...verdict, cause }),
        onAsking: (isAsking) => (isAsking ? this.#timer?.hold() : this.#timer?.release()),
      });
    tool.stdout.on("data", this.onStdout);
    tool.promptOut.on("data", this.onPromptOut);
    if (dialogue?.payloadWaits !== true && !this.#isWithoutNode) this.sendFirstBytes();
    // Both streams are read to their end first: the reason often comes last.
    tool.drained().then(
      () => this.guard(() => this.onEnded(tool, terminal)),
      () => undefined,
    );
  }

  /** Sees who has read the payload, where no shell has answered: that one ends now. False where it was not sent. */
  private endInput(timeoutMs: number, otherwise: () => void): boolean {
    const tool = this.#tool;
    const isWaiting = this.#stage === "transport" || this.#stage === "shell";
    if (!isWaiting || tool === undefined || !this.#hasSentThem) return false;
    if (this.#conversation?.openText) return false;
    this.#timer = new Countdown(LAST_INPUT_MS, otherwise);
    this.#extend = () => {
      this.#timer?.stop();
      this.#timer = new Countdown(LAST_WORDS_MS, otherwise);
    };
    this.#whyEnded = (end) => readsAllInput(timeoutMs, end);
    tool.stdin.end();
    return true;
  }

  private sendFirstBytes(): void {
    if (this.#hasSentThem) return;
    this.#hasSentThem = true;
    for (const piece of this.#firstBytes) this.#tool?.stdin.write(piece);
  }

  private readonly onStdout = (chunk: Buffer): void => {
    this.guard(() => {
      const events = this.#handshake.push(chunk);
      // Some tools ask on their stdout; from the first marker on it is the child's.
      const isTools = this.#stage === "transport" || this.#stage === "shell";
      if (events.length === 0 && isTools) this.#conversation?.push("stdout", chunk);
      for (const event of events) this.onEvent(event);
    });
  };

  private readonly onPromptOut = (chunk: Buffer): void => {
    // Kept first: the answer may be an error that quotes it.
    const lines = this.onNoise("stderr", chunk);
    if (lines.includes(`${this.#nonce}${MARK_SHELL}`)) this.fail(outputElsewhere());
    this.guard(() => this.#conversation?.push("stderr", chunk));
  };

  private onStdoutNoise(bytes: Buffer): void {
    if (this.#stage === "transport" && this.#method.ownExitCode !== undefined) this.#stage = "shell";
    if (this.isEcho(bytes)) this.fail(echoed(this.#method));
    else this.onNoise("stdout", bytes);
  }

  /** Whether the payload comes back: it would fill the error, and nothing would ever end it. */
  private isEcho(bytes: Buffer): boolean {
    const all = Buffer.concat([this.#heard, bytes]);
    this.#heard = Buffer.from(all.subarray(-(ECHO_BYTES - 1)));
    return all.includes(payloadBytes().subarray(0, ECHO_BYTES));
  }

  private onNoise(stream: string, bytes: Buffer): readonly string[] {
    const lines = this.#history.push(stream, bytes);
    if (log.isEnabled("debug")) {
      for (const line of lines) log.debug(`${this.#method.name}: ${stream}: ${this.masked(line)}`);
    }
    return lines;
  }

  private onEvent(event: HandshakeEvent): void {
    switch (event.kind) {
      case "shell":
        // It runs now that what has read all input has ended, and node ends soon, for it finds none.
        this.#extend?.();
        this.#stage = "node";
        this.#conversation?.end();
        this.sendFirstBytes();
        return;
      case "otherShell":
        this.fail(otherShell());
        return;
      case "noNode":
        this.#stage = "node";
        this.#system = systemOf(event.system);
        if (this.#openProvisioner === undefined) this.fail(noNode(event.system));
        else void this.provide(event.system, this.#openProvisioner);
        return;
      case "provision":
        this.#provisioning?.said(event.text);
        return;
      case "oldNode":
        this.fail(nodeTooOld(event.version, MIN_NODE.join(".")));
        return;
      case "ready":
        this.onReady(event.ready, event.rest);
    }
  }

  /** Has the target brought a node, over this connection. */
  private async provide(system: string, open: OpenProvisioner): Promise<void> {
    this.#stage = "provision";
    this.#conversation?.end();
    const { stdin } = this.#tool as ToolProcess;
    const target: ProvisionTarget = {
      method: this.#method.name,
      nonce: this.#nonce,
      system,
      command: (script) => void stdin.write(commandFor(this.#nonce, script)),
      send: (bytes) =>
        new Promise((resolve) => (stdin.write(bytes) ? resolve() : stdin.once("drain", resolve))),
      boot: () => {
        this.#hasSentThem = false;
        this.sendFirstBytes();
      },
      bootAfter: (isShell) => {
        this.#hasSentThem = !isShell;
      },
      progress: () => this.#timer?.restart(this.#options.timeoutMs || DEFAULT_CONNECT_MS),
      fail: ({ code, message, hint, cause }) => {
        this.#stage = "provision";
        this.fail({ type: StreamError, code, message, hint, cause });
      },
      over: this.#over.promise,
    };
    try {
      const provision = await open();
      if (this.#isOver) return;
      if (provision === undefined) {
        this.#stage = "node";
        this.fail(noNode(system));
      } else {
        target.progress();
        this.#provisioning = provision(target);
      }
    } catch (error) {
      this.fail({ type: StreamError, message: messageOf(error), hint: "", cause: error });
    }
  }

  private onReady(ready: Ready, rest: Buffer): void {
    this.#stage = "ready";
    this.#system = { platform: ready.platform, arch: ready.arch };
    // It came too late: its input has ended.
    if (this.#whyEnded !== undefined) return;
    const [major, minor] = ready.nodeVersion.split(".").map(Number) as [number, number];
    if (major < MIN_NODE[0] || (major === MIN_NODE[0] && minor < MIN_NODE[1])) {
      this.fail(nodeTooOld(ready.nodeVersion, MIN_NODE.join(".")));
      return;
    }
    if (ready.protocolVersion !== PROTOCOL_VERSION) {
      const message = `the child speaks protocol ${ready.protocolVersion}, this program ${PROTOCOL_VERSION}`;
      this.fail({ type: StreamError, message, hint: "" });
      return;
    }
    const tool = this.#tool as ToolProcess;
    if (!this.finish()) return;
    tool.stdout.off("data", this.onStdout);
    tool.promptOut.off("data", this.onPromptOut);
    tool.leave();
    this.#outcome.resolve({ tool, ready, rest, argv: this.#argv.map((word) => this.masked(word)) });
  }

  /** The process has ended, or closed its output, without a greeting. */
  private onEnded(tool: ToolProcess, terminal: Terminal | undefined): void {
    this.#handshake.end();
    this.#conversation?.endOfText();
    if (this.#isOver) return;
    const exit = tool.exit ?? { code: null, signal: null };
    if (this.#whyEnded !== undefined) {
      this.fail(this.#whyEnded(printExit(exit)));
      return;
    }
    if (this.#conversation?.wantsTerminal === true && terminal === undefined) {
      this.#handshake = this.newHandshake();
      void tool.end(0);
      void this.startOnTerminal(true);
      return;
    }
    const lines = this.#history.lines();
    if (this.#method.startsAgain?.(lines, this.#argv) === true) {
      this.#handshake = this.newHandshake();
      this.#history = new History();
      void tool.end(0);
      this.start(terminal);
      return;
    }
    const [command = ""] = this.#argv;
    const isMissing = terminal !== undefined && lines.some((line) => isNotFound(line, command));
    if (isMissing && this.#stage === "transport") this.#stage = "spawn";
    const verdict = this.#method.diagnose?.(lines, this.#options);
    const { nodePath } = this.#options;
    const [node] = nodePath === undefined ? this.#method.nodeCommand : [nodePath].flat();
    this.fail(
      verdict ??
        whyEnded({
          method: this.#method,
          tool: command,
          node,
          stage: this.#stage,
          exit,
          lines: lines.map((line) => this.masked(line)),
          terminal,
        }),
    );
  }

  private fail(failure: Failure): void {
    if (!this.finish()) return;
    this.#conversation?.end();
    const exit = this.#tool?.exit;
    const error = connectFailure(failure, {
      stage: this.#stage,
      method: this.#method.name,
      argv: this.#argv,
      exitCode: exit?.code ?? null,
      signal: exit?.signal ?? null,
      stderr: this.masked(this.#history.toString()),
      durationMs: Date.now() - this.#startedAt,
      hint: "",
      ...this.#system,
    });
    this.#tool?.hangUp();
    if (this.#tool !== undefined) this.#reaped = this.#tool.end(FAILED_GRACE_MS);
    this.#outcome.reject(error);
  }

  private finish(): boolean {
    if (this.#isOver) return false;
    this.#isOver = true;
    this.#timer?.stop();
    this.#over.reject(new CancelledError("Cannot go on: the connect is over"));
    return true;
  }

  private masked(text: string): string {
    return this.#conversation?.masked(text) ?? text;
  }

  private newHandshake(): Handshake {
    return new Handshake(this.#nonce, (noise) => this.onStdoutNoise(noise));
  }

  /** Checked in any case: spawn takes only strings, and so do all who print it. */
  private argvFor(boot: BootLine): string[] {
    const argv = this.#method.argv(this.#options, boot);
    return [
      ...takeOption(`connect with ${this.#method.name}()`, "the argv of the method", argv, commandLine),
    ];
  }

  private bootLine(hasTerminal: boolean): BootLine {
    const { nodePath = this.#method.nodeCommand } = this.#options;
    const node = this.#isWithoutNode ? undefined : typeof nodePath === "string" ? [nodePath] : nodePath;
    const nonce = this.#nonce;
    const { length } = payloadBytes();
    return {
      words: bootWords(nonce, length, node),
      get shellLine() {
        return bootCommand(nonce, length, node);
      },
      nonce,
      hasTerminal,
      wasSilent: this.#wasSilent,
    };
  }
}

/** What the shell that a terminal is started with says of a tool that is not there. */
function isNotFound(line: string, command: string): boolean {
  return line.includes(command) && /not found|no such file/i.test(line);
}
