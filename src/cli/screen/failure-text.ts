import { pathToFileURL } from "node:url";
import { receivedStack } from "../../text/received-stack.ts";
import { read } from "../../wire/values/thrown.ts";

/** Why a host failed, in words of the command line. What a command printed was shown as it came, so its error needs no more than the exit code. */
export function failureText(error: Error): string {
  if (read(error, "code") === "ERR_COMMAND") {
    const [exitCode, signal] = [read(error, "exitCode"), read(error, "signal")];
    if (typeof exitCode === "number") return `exit code ${exitCode}`;
    if (typeof signal === "string") return `ended by ${signal}`;
  }
  const known = connectFailure(error);
  // The error of a connect that failed for a known reason contains its cure; the tool's own words add nothing.
  return known === undefined ? String(error.message) : `${known.why}; ${known.cure}`;
}

/** What follows a frame's folder. */
const FILE_AND_PLACE = /^[/\\][^:]*:\d+:\d+\)?$/;
/** A part of Node, or of an installed package. */
const FOREIGN = /node:|[/\\]node_modules[/\\]/;

/** The line of the task that threw the error, such as `at restart (tasks.ts:12:9)`. Undefined if the stack names none. */
export function placeOfFailure(error: Error, folder: string = process.cwd()): string | undefined {
  const stack = read(error, "stack");
  if (read(error, "name") !== "CallError" || typeof stack !== "string") return undefined;
  const frame = receivedStack(stack)
    .split("\n")
    .map((line) => line.trim())
    .find(isOwnFrame);
  return frame?.replace(pathToFileURL(`${folder}/`).href, "").replace(`${folder}/`, "");
}

function isOwnFrame(line: string): boolean {
  const file = line.slice(Math.max(line.lastIndexOf("/"), line.lastIndexOf("\\")));
  return line.startsWith("at ") && FILE_AND_PLACE.test(file) && !FOREIGN.test(line);
}

/** The error's message, with all that the tool said, in words of the command line. */
export function fullFailureText(error: Error): string {
  const message = String(error.message);
  const known = connectFailure(error);
  const { summary } = error as { summary?: string };
  // The summary begins the message.
  return known === undefined || summary === undefined || !message.startsWith(summary)
    ? message
    : `${known.why}; ${known.cure}${message.slice(summary.length)}`;
}

/** Why a connect failed, and what to do about it; undefined for errors that do not know a cure. */
export function connectFailure(error: object): { readonly why: string; readonly cure: string } | undefined {
  const summary = read(error, "summary");
  const details = Object(read(error, "details"));
  const hint = read(details, "hint");
  if (typeof summary !== "string" || typeof hint !== "string" || hint === "") return undefined;
  const end = `; ${hint}`;
  if (!summary.endsWith(end)) return undefined;
  return { why: summary.slice(0, -end.length), cure: cureOf(hint, String(read(details, "method"))) };
}

/** `pass port`, `pass the path of one as nodePath`, `pass checkHostKeys`, `or nodePath`. */
const OPTION =
  /\b(?:pass|or) (?:another |a numeric |the path of one as |the namespace: )?(?:port|username|nodePath|nsenterPath|identityFile|answers|passwordPrompt|incorrectPrompts|checkHostKeys|sshArgs|kubectlArgs)\b/g;
/** Its value, behind it. */
const VALUE = /^: (?:"[a-z]+"|\[[^[\]]*\])/;

/** The library's hints speak to programs, which pass options. */
function cureOf(hint: string, method: string): string {
  const cure = hint
    .replace('pass provision: "cache"', "use --provision")
    .replace('pass provision: "memory"', "use --provision=memory")
    .replace("pass password", `use ${method === "ssh" ? "--ask-password" : "--ask-sudo-password"}`);
  let text = "";
  let end = 0;
  for (const { 0: words, index } of cure.matchAll(OPTION)) {
    const before = cure.slice(end, index);
    end = index + words.length;
    const [value = ""] = VALUE.exec(cure.slice(end)) ?? [];
    end += value.length;
    text += `${before}${words.replace(/^pass /, "set ").replace(/^or /, "or set ")}${value} in the inventory`;
  }
  return text + cure.slice(end);
}
