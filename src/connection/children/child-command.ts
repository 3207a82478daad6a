import { bootCommand, bootWords } from "../../bootstrap/command.ts";
import { payloadBytes } from "../../bootstrap/payload.ts";
import { commandLine } from "../../options/option-types.ts";
import { takeOption } from "../../options/options.ts";
import type { BootLine, ConnectionMethod, ConnectOptions } from "../methods/method.ts";

/** The parameters of stage 0, and how the target was reached before. */
export interface ChildStart {
  /** The beginning of every marker of the connect. */
  readonly nonce: string;
  /** Whether the target's own node is not looked for. */
  readonly isWithoutNode: boolean;
  readonly wasSilent: boolean;
}

/** What a method puts at the end of its command line, so that a child starts. */
export function bootLineOf<O extends ConnectOptions>(
  { nodeCommand }: ConnectionMethod<O>,
  { nodePath = nodeCommand }: ConnectOptions,
  { nonce, isWithoutNode, wasSilent }: ChildStart,
  hasTerminal: boolean,
): BootLine {
  const node = isWithoutNode ? undefined : typeof nodePath === "string" ? [nodePath] : nodePath;
  const { length } = payloadBytes();
  return {
    words: bootWords(nonce, length, node),
    get shellLine() {
      return bootCommand(nonce, length, node);
    },
    nonce,
    hasTerminal,
    wasSilent,
  };
}

/**
 * The command that a method runs. It is always checked, because spawn and everything that prints the command
 * expect strings.
 */
export function commandOf<O extends ConnectOptions>(
  method: ConnectionMethod<O>,
  options: O,
  boot: BootLine,
): string[] {
  const argv = method.argv(options, boot);
  return [...takeOption(`connect with ${method.name}()`, "the argv of the method", argv, commandLine)];
}
