import type { Call, Command } from "../command.ts";
import { parseBashLine, quoteForBash } from "../completion/bash-line.ts";
import { type Candidate, candidates } from "../completion/candidates.ts";
import { SCRIPTS } from "../completion/scripts.ts";
import { ExitStatus } from "../exit-status.ts";
import { UsageError } from "../usage-error.ts";

type Shell = keyof typeof SCRIPTS;

export const command: Command = {
  name: "completion",
  summary: "prints a script for completion in bash, zsh or fish",
  usage: ["bash|zsh|fish"],
  text: `Prints a script for the shell, which completes commands, options, hosts and groups of the config, files, and the \
functions that a file exports. To load it in every new shell, add a line to its start-up file:

    bash  source <(mitogen completion bash)      in ~/.bashrc
    zsh   source <(mitogen completion zsh)       in ~/.zshrc
    fish  mitogen completion fish | source       in ~/.config/fish/config.fish`,
  options: {},
  async run(call) {
    const [first, shell, ...others] = call.operands;
    // What the scripts ask.
    if (first === "candidates" && isShell(shell)) return await answer(call, shell, others);
    if (isShell(first) && shell === undefined) {
      call.out.write(SCRIPTS[first]);
      return ExitStatus.Ok;
    }
    throw new UsageError(
      first === undefined
        ? "Which shell? bash, zsh or fish"
        : `completion knows bash, zsh and fish, not "${first}"`,
      "completion",
    );
  },
};

async function answer(
  { rest, commands, out, signal, unguarded }: Call,
  shell: Shell,
  operands: readonly string[],
): Promise<number> {
  const [breaks = "", line = ""] = operands;
  const bash = shell === "bash" ? parseBashLine(line, breaks) : undefined;
  const words = bash?.words ?? ["mitogen", ...(rest ?? [])];
  const found = await unguarded(() => candidates(words.slice(1), commands, signal));
  const isOpen = found.some((each) => each.isOpen === true);
  const lines = found.map((each) =>
    bash === undefined ? described(each) : quoteForBash(each.word.slice(bash.kept), bash),
  );
  out.print([isOpen ? "open" : "closed", ...lines].join("\n"));
  return ExitStatus.Ok;
}

function described({ word, about }: Candidate): string {
  return about === "" ? word : `${word}\t${about}`;
}

function isShell(word: string | undefined): word is Shell {
  return word !== undefined && Object.hasOwn(SCRIPTS, word);
}
