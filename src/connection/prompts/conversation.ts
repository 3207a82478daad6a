import { StringDecoder } from "node:string_decoder";
import { PasswordError, StreamError } from "../../errors.ts";
import { secret } from "../../options/option-types.ts";
import { takeOption } from "../../options/options.ts";
import { oneLine, withoutControls } from "../../text/harmless.ts";
import { Secret } from "../../wire/values/secret.ts";
import { messageOf } from "../../wire/values/thrown.ts";
import type { Dialogue, Password, Passwords, Verdict } from "./dialogue.ts";
import { endsWithPrompt } from "./password-prompt.ts";

/** The most characters kept of an unfinished line. A longer text is no question. */
const MAX_OPEN_CHARACTERS = 2000;
/** How many questions are answered. The library does not understand a tool that asks more. */
const MAX_ANSWERS = 5;
/**
 * The shortest password that is masked. A shorter one occurs in too many words, and the masks would reveal
 * it.
 */
const MIN_MASKED_CHARACTERS = 4;
/** The most characters that are shown of a question. */
const MAX_SHOWN = 100;
const MASK: string = new Secret("").toString();

/** The effects of a conversation. */
export interface ConversationHost {
  /** Types a line into the tool. */
  type(text: string): void;
  fail(verdict: Verdict, cause?: unknown): void;
  /** Told before and after the program gets the password. That time does not count as the tool's. */
  onAsking?(isAsking: boolean): void;
}

type Ask = () => string | Secret | Promise<string | Secret>;

/** The password, or the answer to another question. */
class Answer {
  state: "unasked" | "asked" | "typed" = "unasked";
  /** The text of the tool that asked for it. */
  question = "";
  readonly name: string;
  readonly ask: Ask | undefined;

  constructor(name: string, given: Password | undefined) {
    this.name = name;
    this.ask = sealed(given);
  }
}

/**
 * Answers a tool's questions until the target's shell answers. The output of the tool may be cut anywhere,
 * even inside a character. Types the password and each further answer at most once, and only when the tool
 * asks for it.
 */
export class Conversation {
  /** Whether the tool has said that it does not work without a terminal. */
  wantsTerminal = false;
  readonly #dialogue: Dialogue;
  readonly #password: Answer;
  /** By the ends of their questions. */
  readonly #answers: ReadonlyMap<string, Answer>;
  readonly #host: ConversationHost;
  readonly #streams: Map<string, { readonly decoder: StringDecoder; open: string }> = new Map();
  /** What was typed, for masking. */
  readonly #typed: string[] = [];
  #answerCount = 0;
  #isOver = false;

  constructor(dialogue: Dialogue, { password, answers = {} }: Passwords, host: ConversationHost) {
    this.#dialogue = dialogue;
    this.#password = new Answer(`the password ${dialogue.purpose}`, password);
    this.#answers = new Map(
      Object.entries(answers).map(([question, answer]) => [
        question,
        new Answer(`the answer to ${JSON.stringify(question)}`, answer),
      ]),
    );
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

  /** Whether a password or another answer was typed, which the tool has not been seen to refuse. */
  get hasTyped(): boolean {
    return this.typedNames().length > 0;
  }

  /** Masks in the tool's output what was typed, in case a terminal has echoed it. */
  masked(text: string): string {
    return this.#typed.reduce((shown, typed) => shown.split(typed).join(MASK), text);
  }

  /** The same without the prompt that this library has made up. */
  readable(text: string): string {
    const { ownPrompt } = this.#dialogue;
    return ownPrompt === undefined ? this.masked(text) : this.masked(text).split(ownPrompt).join("");
  }

  private onLine(line: string): void {
    if (this.#isOver) return;
    if (this.#dialogue.isTerminalDemand?.(line) === true) this.wantsTerminal = true;
    if (this.hasTyped && this.#dialogue.isRefusal?.(line) === true) this.failIncorrect();
  }

  /** Answers the text if it is a question. Returns whether it was one. */
  private onOpenText(text: string): boolean {
    if (text === "") return false;
    const asked = [...this.#answers].find(([question]) => endsWithPrompt(text, question))?.[1];
    if (asked !== undefined || this.#dialogue.isPasswordPrompt(text)) {
      this.onQuestion(asked ?? this.#password, text);
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

  private onQuestion(wanted: Answer, text: string): void {
    if (wanted.state === "typed") this.failIncorrect(this.againHint(wanted, text));
    if (wanted.state !== "unasked") return;
    wanted.state = "asked";
    wanted.question = text;
    if (wanted.ask === undefined) {
      const message = `a password is required ${this.#dialogue.purpose}`;
      this.fail({ type: PasswordError, message, hint: "pass password" });
      return;
    }
    const name = wanted === this.#password ? "the password" : wanted.name;
    this.typeAnswer(wanted, wanted.ask, name).catch((error) => {
      const message = `${name} was not given: ${oneLine(messageOf(error))}`;
      this.fail({ type: StreamError, message, hint: "" }, error);
    });
  }

  private async typeAnswer(wanted: Answer, ask: Ask, name: string): Promise<void> {
    this.#host.onAsking?.(true);
    let given: string | Secret;
    try {
      given = await ask();
    } finally {
      this.#host.onAsking?.(false);
    }
    if (this.#isOver) return;
    const taken = takeOption(`type ${name}`, name, given, secret);
    const text = taken instanceof Secret ? taken.reveal() : taken;
    if (text.length >= MIN_MASKED_CHARACTERS) this.#typed.push(text);
    wanted.state = "typed";
    this.#host.type(text);
  }

  private typedNames(): string[] {
    const typed = [this.#password, ...this.#answers.values()].filter(({ state }) => state === "typed");
    return typed.map(({ name }) => name);
  }

  /** The question may be another one, although it looks like the one before. */
  private againHint(wanted: Answer, text: string): string | undefined {
    if (wanted.question === text) return this.#dialogue.askedAgain;
    const question = JSON.stringify(text.trim().slice(-MAX_SHOWN));
    return `it was tried once; if ${question} asks for something else, pass answers`;
  }

  /** Tools do not tell which of several answers was wrong. */
  private failIncorrect(hint = "it was tried once"): void {
    this.fail({ type: PasswordError, message: `${this.typedNames().join(" or ")} is incorrect`, hint });
  }

  private fail(verdict: Verdict, cause?: unknown): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#host.fail(verdict, cause);
  }
}

/** Wraps the password so that nothing that inspects the conversation sees it. */
function sealed(password: Password | undefined): Ask | undefined {
  if (password === undefined || typeof password === "function") return password;
  const secret = typeof password === "string" ? new Secret(password) : password;
  return () => secret;
}
