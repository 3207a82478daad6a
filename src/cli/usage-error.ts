/** The command line cannot be understood, or asks for something that cannot be: exit status 2. */
export class UsageError extends Error {
  override readonly name = "UsageError";
  /** The command whose help would explain it. */
  readonly command: string | undefined;

  constructor(message: string, command?: string) {
    super(message);
    this.command = command;
  }
}
