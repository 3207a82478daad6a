import { StringDecoder } from "node:string_decoder";
import { PasswordError, StreamError } from "../../errors.ts";
import { secret } from "../../options/option-types.ts";
import { takeOption } from "../../options/options.ts";
import { oneLine, withoutControls } from "../../text/harmless.ts";
import { Secret } from "../../wire/values/secret.ts";
import { messageOf } from "../../wire/values/thrown.ts";
import type { Dialogue, Password, Verdict } from "./dialogue.ts";

/** The most characters kept of an unfinished line. A longer text is no question. */
const MAX_OPEN_CHARACTERS = 2000;
/** How many questions are answered. The library does not understand a tool that asks more. */
const MAX_ANSWERS = 5;
/**
 * The shortest password that is masked. A shorter one occurs in too many words, and the masks would reveal
 * it.
 */
const MIN_MASKED_CHARACTERS = 4;
const MASK: string = new Secret("").toString();

/** The effects of a conversation. */
export interface ConversationHost {
  /** Types a line into the tool. */
  type(text: string): void;
  fail(verdict: Verdict, cause?: unknown): void;
  /** Told before and after the program gets the password. That time does not count as the tool's. */
  onAsking?(isAsking: boolean): void;
}

/**
 * Answers a tool's questions until the target's shell answers. The output of the tool may be cut anywhere,
 * even inside a character. Types the password at most once, and only when the tool asks for it.
 */
export class Conversation {
  /** Whether the tool has said that it does not work without a terminal. */
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

  /** Takes bytes of one of the tool's streams. */
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
    // Dropped once it was answered, because a second look would answer it again.
    if (!this.#isOver && this.onOpenText(withoutControls(state.open))) state.open = "";
  }

  /** Call this when the target's shell has answered. From then on the output is not the tool's. */
  end(): void {
    this.#isOver = true;
  }

  /** Call this when the process has ended. Its unfinished line then counts as a line. */
  endOfText(): void {
    for (const { open } of [...this.#streams.values()]) this.onLine(withoutControls(open));
    this.#isOver = true;
  }

  /** The question to which a waiting tool may want an answer. */
  get openText(): string {
    return [...this.#streams.values()].map(({ open }) => this.masked(withoutControls(open))).join("");
  }

  /** Masks the password in the tool's output, in case a terminal has echoed it. */
  masked(text: string): string {
    return this.#typed.length < MIN_MASKED_CHARACTERS ? text : text.split(this.#typed).join(MASK);
  }

  private onLine(line: string): void {
    if (this.#isOver) return;
    if (this.#dialogue.isTerminalDemand?.(line) === true) this.wantsTerminal = true;
    if (this.#passwordState === "typed" && this.#dialogue.isRefusal?.(line) === true) this.failIncorrect();
  }

  /** Answers the text if it is a question. Returns whether it was one. */
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
      this.fail({
        type: StreamError,
        message: `the tool asks the same question again and again: ${text}`,
        hint: "",
      });
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

/** Wraps the password so that nothing that inspects the conversation sees it. */
function sealed(
  password: Password | undefined,
): (() => string | Secret | Promise<string | Secret>) | undefined {
  if (password === undefined || typeof password === "function") return password;
  const secret = typeof password === "string" ? new Secret(password) : password;
  return () => secret;
}
