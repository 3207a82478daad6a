import {
  CancelledError,
  type ConnectCode,
  type ConnectDetails,
  type ConnectStage,
  EofError,
  HostKeyError,
  PasswordError,
  StreamError,
  TimeoutError,
} from "../../errors.ts";
import { isOptionCode, misuse, type OptionCode } from "../../options/options.ts";
import { quoteForSh } from "../../text/shell-quote.ts";
import { errorFromThrown, hide } from "../../wire/values/error-value.ts";
import { messageOf, read, textOf } from "../../wire/values/thrown.ts";

const TYPES = [StreamError, EofError, CancelledError, PasswordError, HostKeyError, TimeoutError];
const STAGES: readonly string[] = [
  "spawn",
  "transport",
  "shell",
  "provision",
  "node",
  "ready",
] satisfies ConnectStage[];
const CODES: Readonly<Record<ConnectCode, true>> = {
  ERR_NO_NODE: true,
  ERR_NODE_VERSION: true,
  ERR_REFUSED: true,
  ERR_UNREACHABLE: true,
  ERR_UNKNOWN_HOST: true,
  ERR_UNKNOWN_USER: true,
  ERR_UNKNOWN_CONTAINER: true,
  ERR_TOO_MANY_SESSIONS: true,
  ERR_NO_SHELL: true,
  ERR_COMMAND_FORCED: true,
  ERR_POLICY: true,
  ERR_NO_RUNTIME: true,
  ERR_NO_SPACE: true,
  ERR_PROVISION: true,
};
const MAX_CHARACTERS = 64 * 1024;
const MAX_ARGV = 1000;

/** The details of a failed connect, as they travel. */
type SentDetails = Omit<ConnectDetails, "command">;

/**
 * [name, message, details, code if it differs from the code of the class, summary]: how the context that
 * tried to connect reports the failure to the context that asked.
 */
export type ConnectErrorRecord = readonly [
  name: string,
  message: string,
  details: SentDetails | null,
  code: OptionCode | ConnectCode | null,
  summary: string | null,
];

/** Adds to an error the fields of a failed connect. Returns the error. */
export function describeFailure(
  error: Error,
  given: {
    readonly code?: string | undefined;
    readonly summary: string;
    readonly details?: SentDetails | undefined;
  },
): Error {
  const { code, summary, details } = given;
  if (code !== undefined) Object.assign(error, { code });
  hide(error, "summary", summary);
  if (details !== undefined) {
    const { argv, ...shown } = details;
    // Hidden, because otherwise they would fill most of the screen when the error is printed.
    const hidden = { argv: { value: argv }, command: { value: argv.map(quoteForSh).join(" ") } };
    Object.defineProperty(error, "details", {
      value: Object.defineProperties(shown, hidden),
      enumerable: true,
    });
  }
  return error;
}

export function recordOfConnectError(error: unknown): ConnectErrorRecord {
  // The value may have been thrown by a password function, so it may be anything.
  const known = errorFromThrown(error);
  const details = read(known, "details") as ConnectDetails | undefined;
  const code = read(known, "code");
  const summary = read(known, "summary");
  return [
    textOf(read(known, "name")),
    messageOf(known),
    // A spread does not copy hidden fields. The receiver makes `command` from `argv` again.
    details === undefined ? null : { ...details, argv: details.argv },
    isOptionCode(code) || isConnectCode(code) ? code : null,
    typeof summary === "string" ? summary : null,
  ];
}

/**
 * Makes an error from a record, prefixed with the name of the context that tried to connect if it was another
 * one. The record comes from a child, so its texts are only shown.
 */
export function connectErrorOf(record: unknown, via?: string): Error {
  const [name, message, details, code, summary] = Array.isArray(record) ? record : [];
  const inName = (text: unknown): string =>
    `${via === undefined ? "" : `${via}: `}${bounded(typeof text === "string" ? text : textOf(text))}`;
  const text = inName(message);
  if (isOptionCode(code)) return misuse(code, text);
  const type = TYPES.find((each) => each.prototype.name === name) ?? StreamError;
  return describeFailure(new type(text), {
    code: isConnectCode(code) ? code : undefined,
    summary: typeof summary === "string" ? inName(summary) : text,
    details: typeof details === "object" && details !== null ? readDetails(details) : undefined,
  });
}

/** Makes every field match its type, whatever a hop has sent. */
function readDetails(sent: object): SentDetails {
  const claims = sent as { [Field in keyof SentDetails]?: unknown };
  const { stage, argv, exitCode, signal, durationMs, platform, arch } = claims;
  return {
    stage: STAGES.includes(stage as string) ? (stage as ConnectStage) : "spawn",
    method: word(claims.method),
    argv: Array.isArray(argv) ? argv.slice(0, MAX_ARGV).map(word) : [],
    exitCode: typeof exitCode === "number" ? exitCode : null,
    signal: typeof signal === "string" ? bounded(signal) : null,
    stderr: word(claims.stderr),
    durationMs: typeof durationMs === "number" ? durationMs : Number.NaN,
    hint: word(claims.hint),
    ...(typeof platform === "string" ? { platform: bounded(platform) } : {}),
    ...(typeof arch === "string" ? { arch: bounded(arch) } : {}),
  };
}

function word(claim: unknown): string {
  return typeof claim === "string" ? bounded(claim) : "";
}

function bounded(text: string): string {
  return text.slice(0, MAX_CHARACTERS);
}

function isConnectCode(code: unknown): code is ConnectCode {
  return typeof code === "string" && Object.keys(CODES).includes(code);
}
