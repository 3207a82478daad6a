/** What a tool asks of ssh. */
export interface SshRequest {
  /** A command for a shell, or the subsystem's name if `isSubsystem`. */
  readonly command: string;
  readonly isSubsystem: boolean;
  /** Whether `-n` was given, which makes stdin empty. */
  readonly hasNoStdin: boolean;
}

/** ssh(1): options that take a value. */
const WITH_VALUE = "BbcDEeFIiJLlmOoPpQRSWw";
/** Options that make ssh do something other than run a command. */
const OTHER_WORK = "GNOQVW";

/**
 * Reads the arguments of an ssh: options, which say how to connect and so mean nothing here, the host, which
 * is the context whatever its name, and the command. Throws a RangeError for anything that is not possible.
 */
export function parseSshArgv(argv: readonly string[]): SshRequest {
  const seen = new Set<string>();
  const hostAt = skipOptions(argv, 0, seen);
  const host = argv[hostAt];
  if (host === undefined) throw new RangeError("no host was given; any name is accepted");
  const commandAt = skipOptions(argv, hostAt + 1, seen); // ssh also takes options after the host
  const other = [...OTHER_WORK].find((letter) => seen.has(letter));
  if (other !== undefined) throw new RangeError(`-${other} is not possible: this ssh only runs commands`);
  const command = argv.slice(commandAt).join(" ");
  if (command === "") throw new RangeError("no command was given, and this ssh only runs commands");
  return { command, isSubsystem: seen.has("s"), hasNoStdin: seen.has("n") };
}

/** Collects the letters of all options from `at` on. Returns where they end. */
function skipOptions(argv: readonly string[], at: number, seen: Set<string>): number {
  for (let word = argv[at]; word !== undefined && /^-./.test(word); word = argv[at]) {
    at += 1;
    if (word === "--") break;
    const letters = [...word.slice(1)];
    const valued = letters.findIndex((letter) => WITH_VALUE.includes(letter));
    for (const letter of valued < 0 ? letters : letters.slice(0, valued + 1)) seen.add(letter);
    // `-p22` or `-p 22`
    if (valued === letters.length - 1 && valued >= 0) at += 1;
  }
  return at;
}
