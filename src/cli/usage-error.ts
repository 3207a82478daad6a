/** The command line is wrong, or asks for something impossible: exit status 2. */
export class UsageError extends Error {
  override readonly name = "UsageError";
  /** The command whose help would explain it. */
  readonly command: string | undefined;

  constructor(message: string, command?: string) {
    super(message);
    this.command = command;
  }
}
