import { randomBytes } from "node:crypto";
import { commandFor, guardLine, MARK_SHELL } from "../../bootstrap/command.ts";
import { configFrame } from "../../bootstrap/config-frame.ts";
import { Handshake, type HandshakeEvent } from "../../bootstrap/handshake.ts";
import { payloadBytes } from "../../bootstrap/payload.ts";
import type { Ready } from "../../bootstrap/ready.ts";
import { CancelledError, type ConnectStage, PasswordError, StreamError } from "../../errors.ts";
import { getLogger } from "../../logging/log.ts";
import { show } from "../../options/options.ts";
import { printExit } from "../../process/process-exit.ts";
import { Deferred } from "../../waiting/deferred.ts";
import { monotonicMs } from "../../waiting/monotonic.ts";
import { encodeFrame } from "../../wire/frame.ts";
import { messageOf } from "../../wire/values/thrown.ts";
import { echoed, noNode, notStarted, systemOf, timedOut, whyEnded } from "../failures/diagnosis.ts";
import { otherShell, outputElsewhere, readsAllInput } from "../failures/login-scripts.ts";
import { type Failure, newConnectError, printCommand } from "../failures/new-connect-error.ts";
import { nodeTooOld, wrongVersion } from "../failures/wrong-version.ts";
import {
  type BootLine,
  type ConnectionMethod,
  type ConnectOptions,
  DEFAULT_CONNECT_MS,
  type PasswordOptions,
} from "../methods/method.ts";
import { Conversation } from "../prompts/conversation.ts";
import { Countdown } from "../prompts/countdown.ts";
import type { Dialogue } from "../prompts/dialogue.ts";
import { findTerminal, type Terminal } from "../prompts/terminal.ts";
import type { OpenProvisioner, Provisioning, ProvisionTarget } from "../runtime/plan.ts";
import { bootLineOf, type ChildStart, commandOf } from "./child-command.ts";
import type { EarlierTries } from "./second-tries.ts";
import { ToolOutput } from "./tool-output.ts";
import { ToolProcess } from "./tool-process.ts";

/**
 * After the timeout: how long a program that reads all its input may take to end once its input has ended.
 */
const LAST_INPUT_MS = 500;
/** How long our own command may take that begins only then; never longer than the whole connect was given. */
const LAST_WORDS_MS = 10_000;
/** Grace period of the process after a failed connect: it is told to end almost at once. */
const FAILED_GRACE_MS = 50;

const log = getLogger("mitogen.connect");

/**
 * A connected child before it has a link: its process, its greeting, and the first bytes behind the greeting.
 */
export interface Connected {
  readonly tool: ToolProcess;
  readonly ready: Ready;
  readonly rest: Buffer;
  /** The beginning of every marker of this connection. */
  readonly nonce: string;
  /** The command that was run, with secrets masked. */
  readonly argv: readonly string[];
}

/**
 * One connect, from spawn to greeting. If the tool asks nothing, payload and configuration are written at
 * once, so the connect takes one round trip once the transport is up. A connect always ends: with a greeting,
 * with an error that says how far it came, or by its timeout.
 */
export class ConnectAttempt<O extends ConnectOptions> {
  readonly #method: ConnectionMethod<O>;
  readonly #options: O;
  readonly #nonce: string = randomBytes(8).toString("hex");
  readonly #output: ToolOutput;
  readonly #outcome: Deferred<Connected> = new Deferred();
  readonly #startedAt: number;
  readonly #start: ChildStart;
  /** Of a start without a terminal. */
  readonly #boot: BootLine;
  readonly #openProvisioner: OpenProvisioner | undefined;
  #provisioning: Provisioning | undefined;
  /** Never resolves. Rejects when the connect fails. */
  readonly #over: Deferred<never> = new Deferred();
  #dialogue: Dialogue | undefined;
  #argv: string[];
  #handshake: Handshake;
  #conversation: Conversation | undefined;
  #firstBytes: readonly Uint8Array[] = [];
  #hasSentThem = false;
  #stage: ConnectStage = "spawn";
  #system: { platform?: string; arch?: string } = {};
  #tool: ToolProcess | undefined;
  #timer: Countdown | undefined;
  /** The error to report when the process ends after the timeout. */
  #whyEnded: ((end: string) => Failure) | undefined;
  #extend: (() => void) | undefined;
  #isOver = false;
  #reaped: Promise<void> = Promise.resolve();

  /** Throws if the options do not make a valid command line. */
  constructor(
    method: ConnectionMethod<O>,
    options: O,
    earlier?: EarlierTries,
    openProvisioner?: OpenProvisioner,
  ) {
    this.#method = method;
    this.#options = options;
    this.#startedAt = earlier?.startedAt ?? monotonicMs();
    this.#start = {
      nonce: this.#nonce,
      isWithoutNode: earlier?.isWithoutNode === true,
      wasSilent: earlier?.wasSilent === true,
    };
    this.#openProvisioner = openProvisioner;
    this.#over.promise.catch(() => undefined);
    this.#output = new ToolOutput(method.name, (text) => this.#conversation?.readable(text) ?? text);
    this.#boot = bootLineOf(method, options, this.#start, false);
    this.#argv = commandOf(method, options, this.#boot);
    this.#handshake = this.newHandshake();
  }

  /** Starts the process. `config` is the child's configuration, which is sent after the payload. */
  run(config: Readonly<Record<string, unknown>>): Promise<Connected> {
    const timeoutMs = this.#options.timeoutMs || DEFAULT_CONNECT_MS;
    // The timeout covers all tries together.
    const leftMs = Math.max(1, timeoutMs - (monotonicMs() - this.#startedAt));
    const fail = (): void => {
      const question = this.#conversation?.openText ?? "";
      this.fail(
        timedOut(this.#method.name, this.#stage, timeoutMs, question, this.#output.lines().join("\n")),
      );
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
      this.#dialogue = this.#method.dialogue?.(this.#options, this.#boot);
      const { terminal = "never" } = this.#dialogue ?? {};
      if (terminal === "always" || terminal === "preferred") void this.startOnTerminal(terminal === "always");
      else this.start(undefined);
    });
    return this.#outcome.promise;
  }

  /** Resolves when the process of a failed connect has been reaped. */
  get reaped(): Promise<void> {
    return this.#reaped;
  }

  /** Cancels the connect. Its error gives `why` as the reason. */
  cancel(why: string, cause?: unknown): Promise<void> {
    this.fail({ type: CancelledError, message: why, hint: "", cause });
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

  /**
   * Runs a step that calls the method. The method may be the program's own, so an error that it throws fails
   * this connect and nothing else.
   */
  private guard(step: () => void): void {
    try {
      step();
    } catch (error) {
      const message = `the method failed: ${error instanceof Error ? error.message : show(error)}`;
      this.fail({ type: StreamError, message, hint: "", cause: error });
    }
  }

  private start(terminal: Terminal | undefined): void {
    const boot =
      terminal === undefined ? this.#boot : bootLineOf(this.#method, this.#options, this.#start, true);
    // Anew: the method may have learned something from another connect, or from the try before.
    this.#argv = commandOf(this.#method, this.#options, boot);
    if (terminal !== undefined) this.#dialogue = this.#method.dialogue?.(this.#options, boot);
    const dialogue = this.#dialogue;
    const using = terminal === undefined ? "" : ` on a terminal of ${terminal.name}`;
    log.debug(`Starting ${printCommand(this.#argv)}${using}`);
    let tool: ToolProcess;
    try {
      tool = new ToolProcess(this.#argv, { terminal, mark: this.#nonce });
    } catch (error) {
      this.fail(notStarted(error as Error, this.#argv[0] as string));
      return;
    }
    this.#tool = tool;
    this.#hasSentThem = false;
    tool.exited.catch((error) => this.fail(notStarted(error, this.#argv[0] as string)));
    if (tool.pid === undefined) return;
    this.#stage = "transport";
    this.#conversation =
      dialogue &&
      new Conversation(dialogue, this.#options as PasswordOptions, {
        type: (text) => tool.promptIn.write(`${text}\n`),
        fail: (verdict, cause) => this.fail({ ...verdict, cause }),
        onAsking: (isAsking) => (isAsking ? this.#timer?.pause() : this.#timer?.resume()),
      });
    tool.stdout.on("data", this.onStdout);
    tool.promptOut.on("data", this.onPromptOut);
    if (dialogue?.payloadWaits !== true && !this.#start.isWithoutNode) this.sendFirstBytes();
    // Reads both streams to their end first: the reason often comes last.
    tool.drained().then(
      () => this.guard(() => this.onEnded(tool, terminal)),
      () => undefined,
    );
  }

  /**
   * Ends the tool's input after the timeout, if no shell has answered. If some program has read the payload
   * as its input, that program ends now. Returns false if the payload was not sent.
   */
  private endInput(timeoutMs: number, otherwise: () => void): boolean {
    const tool = this.#tool;
    const isWaiting = this.#stage === "transport" || this.#stage === "shell";
    if (!isWaiting || tool === undefined || !this.#hasSentThem) return false;
    if (this.#conversation?.openText) return false;
    this.#timer = new Countdown(LAST_INPUT_MS, otherwise);
    this.#extend = () => {
      this.#timer?.stop();
      this.#timer = new Countdown(Math.min(LAST_WORDS_MS, timeoutMs), otherwise);
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
      // Some tools ask their questions on stdout. From the first marker on, stdout belongs to the child.
      const isTools = this.#stage === "transport" || this.#stage === "shell";
      if (events.length === 0 && isTools) this.#conversation?.push("stdout", chunk);
      for (const event of events) this.onEvent(event);
    });
  };

  private readonly onPromptOut = (chunk: Buffer): void => {
    // Stored before the conversation sees it, because the conversation may fail with an error that quotes the
    // text.
    const lines = this.#output.push("stderr", chunk);
    if (lines.includes(`${this.#nonce}${MARK_SHELL}`)) this.fail(outputElsewhere());
    this.guard(() => this.#conversation?.push("stderr", chunk));
  };

  private onStdoutNoise(bytes: Buffer): void {
    if (this.#stage === "transport" && this.#method.ownExitCode !== undefined) this.#stage = "shell";
    if (this.#output.isEcho(bytes)) this.fail(echoed(this.#method));
    else this.#output.push("stdout", bytes);
  }

  private onEvent(event: HandshakeEvent): void {
    switch (event.kind) {
      case "shell":
        // After the timeout, our command starts only because the program that read all input has ended. Node
        // then finds no input and soon ends too.
        this.#extend?.();
        this.#stage = "node";
        this.#conversation?.end();
        this.sendFirstBytes();
        return;
      case "otherShell":
        // A shell that reads all input first (fish) runs the guard line only now that the input has ended, if it can parse the payload.
        this.fail(this.#whyEnded?.("ran it as its own commands") ?? otherShell());
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
        this.fail(nodeTooOld(event.version));
        return;
      case "ready":
        this.onReady(event.ready, event.rest);
    }
  }

  /** Brings the target a node, over this connection. */
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
    // The greeting came after the timeout, when the input had already been ended.
    if (this.#whyEnded !== undefined) return;
    const failure = wrongVersion(ready);
    if (failure !== undefined) {
      this.fail(failure);
      return;
    }
    const tool = this.#tool as ToolProcess;
    if (!this.finish()) return;
    tool.stdout.off("data", this.onStdout);
    tool.promptOut.off("data", this.onPromptOut);
    tool.leave();
    this.#outcome.resolve({
      tool,
      ready,
      rest,
      nonce: this.#nonce,
      argv: this.#argv.map((word) => this.masked(word)),
    });
  }

  /** Called when the process has ended, or has closed its output, without a greeting. */
  private onEnded(tool: ToolProcess, terminal: Terminal | undefined): void {
    this.#handshake.end();
    this.#conversation?.endOfText();
    if (this.#isOver) return;
    const exit = tool.exit ?? { code: null, signal: null };
    // If the tool itself has failed (ssh exits with 255), its own words say why.
    if (this.#whyEnded !== undefined && exit.code !== this.#method.ownExitCode) {
      this.fail(this.#whyEnded(printExit(exit)));
      return;
    }
    if (this.#conversation?.wantsTerminal === true && terminal === undefined) {
      this.#handshake = this.newHandshake();
      void tool.end(0);
      void this.startOnTerminal(true);
      return;
    }
    const lines = this.#output.lines();
    if (this.#method.startsAgain?.(lines, this.#argv) === true) {
      this.#handshake = this.newHandshake();
      this.#output.forget();
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
          lines: this.#output.readableLines(),
          terminal,
          hasTyped: this.#conversation?.hasTyped === true,
        }),
    );
  }

  private fail(failure: Failure): void {
    if (!this.finish()) return;
    this.#conversation?.end();
    const exit = this.#tool?.exit;
    const error = newConnectError(failure, {
      stage: this.#stage,
      method: this.#method.name,
      argv: this.#argv,
      exitCode: exit?.code ?? null,
      signal: exit?.signal ?? null,
      stderr: this.#output.toString(),
      durationMs: monotonicMs() - this.#startedAt,
      hint: "",
      ...this.#system,
    });
    // At the end of its input ssh would answer an open question with an empty password, which counts as another try.
    if (failure.type === PasswordError) this.#tool?.kill();
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
}

/** Whether the shell that starts a tool on a terminal says that it did not find the tool. */
function isNotFound(line: string, command: string): boolean {
  return line.includes(command) && /not found|no such file/i.test(line);
}
