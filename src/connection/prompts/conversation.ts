import { StringDecoder } from "node:string_decoder";
import { PasswordError, StreamError } from "../../errors.ts";
import { secret } from "../../options/option-types.ts";
import { takeOption } from "../../options/options.ts";
import { oneLine, withoutControls } from "../../text/harmless.ts";
import { Secret } from "../../wire/values/secret.ts";
import { messageOf } from "../../wire/values/thrown.ts";
import type { Dialogue, Password, Verdict } from "./dialogue.ts";

/** Longer text without a line end is no question; its end is kept. */
const MAX_OPEN_CHARACTERS = 2000;
/** A tool that asks on and on is not understood. */
const MAX_ANSWERS = 5;
/** A shorter password stands in too many words: where the mask is would tell what it is. */
const MIN_MASKED_CHARACTERS = 4;
const MASK: string = new Secret("").toString();

/** Where a conversation has effects. */
export interface ConversationHost {
  /** Types a line at the tool. */
  type(text: string): void;
  fail(verdict: Verdict, cause?: unknown): void;
  /** The time it takes the program to get the password is not the tool's. */
  onAsking?(isAsking: boolean): void;
}

/**
 * Answers one tool's questions until the target's shell does. Takes what the tool writes cut anywhere, also inside a character. Types the
 * password at most once, and only when it is asked for.
 */
export class Conversation {
  /** The tool has said that it does not work without a terminal. */
  wantsTerminal = false;
  readonly #dialogue: Dialogue;
  readonly #password: (() => string | Secret | Promise<string | Secret>) | undefined;
  readonly #host: ConversationHost;
  readonly #streams: Map<string, { readonly decoder: StringDecoder; open: string }> = new Map();
  #passwordState: "unasked" | "asked" | "typed" = "unasked";
  #typed = "";
  #answerCount = 0;
  #isOver = false;

  constructor(dialogue: Dialogue, password: Password | undefined, host: ConversationHost) {
    this.#dialogue = dialogue;
    this.#password = sealed(password);
    this.#host = host;
  }

  /** Bytes of one of the tool's streams. */
  push(stream: string, bytes: Buffer): void {
    if (this.#isOver) return;
    let state = this.#streams.get(stream);
    if (state === undefined) {
      state = { decoder: new StringDecoder("utf8"), open: "" };
      this.#streams.set(stream, state);
    }
    const lines = (state.open + state.decoder.write(bytes)).split("\n");
    state.open = (lines.pop() ?? "").slice(-MAX_OPEN_CHARACTERS);
    for (const line of lines) this.onLine(withoutControls(line));
    // What was answered is done with: a second look at it would answer it again.
    if (!this.#isOver && this.onOpenText(withoutControls(state.open))) state.open = "";
  }

  /** The target's shell has answered: what comes now is not the tool's. */
  end(): void {
    this.#isOver = true;
  }

  /** The process has ended; what is left of its text is a line too. */
  endOfText(): void {
    for (const { open } of [...this.#streams.values()]) this.onLine(withoutControls(open));
    this.#isOver = true;
  }

  /** What a tool that waits may be waiting for an answer to. */
  get openText(): string {
    return [...this.#streams.values()].map(({ open }) => this.masked(withoutControls(open))).join("");
  }

  /** A tool's words with the password masked, should a terminal have echoed it. */
  masked(text: string): string {
    return this.#typed.length < MIN_MASKED_CHARACTERS ? text : text.split(this.#typed).join(MASK);
  }

  private onLine(line: string): void {
    if (this.#isOver) return;
    if (this.#dialogue.isTerminalDemand?.(line) === true) this.wantsTerminal = true;
    if (this.#passwordState === "typed" && this.#dialogue.isRefusal?.(line) === true) this.failIncorrect();
  }

  /** Whether it was a question. */
  private onOpenText(text: string): boolean {
    if (text === "") return false;
    if (this.#dialogue.isPasswordPrompt(text)) {
      this.onPasswordPrompt();
      return true;
    }
    const answer = this.#dialogue.answer?.(text);
    if (answer === undefined) return false;
    if (typeof answer !== "string") this.fail(answer);
    else if (++this.#answerCount > MAX_ANSWERS) {
      this.fail({ type: StreamError, message: `the same was asked again and again: ${text}`, hint: "" });
    } else this.#host.type(answer);
    return true;
  }

  private onPasswordPrompt(): void {
    if (this.#passwordState === "typed") this.failIncorrect();
    if (this.#passwordState !== "unasked") return;
    this.#passwordState = "asked";
    if (this.#password === undefined) {
      const message = `a password is required ${this.#dialogue.purpose}`;
      this.fail({ type: PasswordError, message, hint: "pass password" });
      return;
    }
    this.typePassword(this.#password).catch((error) => {
      const message = `the password was not given: ${oneLine(messageOf(error))}`;
      this.fail({ type: StreamError, message, hint: "" }, error);
    });
  }

  private async typePassword(ask: () => string | Secret | Promise<string | Secret>): Promise<void> {
    this.#host.onAsking?.(true);
    let given: string | Secret;
    try {
      given = await ask();
    } finally {
      this.#host.onAsking?.(false);
    }
    if (this.#isOver) return;
    const taken = takeOption("type the password", "the password", given, secret);
    const text = taken instanceof Secret ? taken.reveal() : taken;
    this.#typed = text;
    this.#passwordState = "typed";
    this.#host.type(text);
  }

  private failIncorrect(): void {
    const message = `the password ${this.#dialogue.purpose} is incorrect`;
    this.fail({ type: PasswordError, message, hint: "it was tried once" });
  }

  private fail(verdict: Verdict, cause?: unknown): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#host.fail(verdict, cause);
  }
}

/** Nothing that inspects the conversation sees a password. */
function sealed(
  password: Password | undefined,
): (() => string | Secret | Promise<string | Secret>) | undefined {
  if (password === undefined || typeof password === "function") return password;
  const secret = typeof password === "string" ? new Secret(password) : password;
  return () => secret;
}
