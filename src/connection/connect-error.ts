import { isOptionCode, misuse, type OptionCode } from "../core/options.ts";
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
} from "../errors.ts";
import { errorFromThrown, hide } from "../wire/error-value.ts";
import { messageOf, read, textOf } from "../wire/thrown.ts";
import { quoteForSh } from "./shell-quote.ts";

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

/** What a connect knew of itself, as it travels. */
type SentDetails = Omit<ConnectDetails, "command">;

/** [name, message, details, code if it is not its class's, summary]: a failed connect as the context that tried tells the one that asked. */
export type ConnectErrorRecord = readonly [
  name: string,
  message: string,
  details: SentDetails | null,
  code: OptionCode | ConnectCode | null,
  summary: string | null,
];

/** Adds to an error what a program finds on the one of a failed connect. Returns the error. */
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
    // Printed with the error they would be most of what is seen.
    const hidden = { argv: { value: argv }, command: { value: argv.map(quoteForSh).join(" ") } };
    Object.defineProperty(error, "details", {
      value: Object.defineProperties(shown, hidden),
      enumerable: true,
    });
  }
  return error;
}

export function recordOfConnectError(error: unknown): ConnectErrorRecord {
  // It may be what a password function has thrown.
  const known = errorFromThrown(error);
  const details = read(known, "details") as ConnectDetails | undefined;
  const code = read(known, "code");
  const summary = read(known, "summary");
  return [
    textOf(read(known, "name")),
    messageOf(known),
    // What does not print is not copied; the command is made of `argv` again.
    details === undefined ? null : { ...details, argv: details.argv },
    isOptionCode(code) || isConnectCode(code) ? code : null,
    typeof summary === "string" ? summary : null,
  ];
}

/** The same error here, in the name of the context that tried if it was another. What it says comes from a child and is only ever shown. */
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

/** Every field as its type says, whatever a hop has sent. */
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
