import { MitogenError } from "../errors.ts";

/** Why a module cannot be sent; docs/errors.md says what to do about each. */
export type ModuleErrorCode =
  | "ERR_MODULE_NOT_FOUND"
  | "ERR_MODULE_COMPILE"
  | "ERR_MODULE_NATIVE"
  | "ERR_MODULE_DENIED"
  | "ERR_MODULE_TOO_LARGE"
  | "ERR_MODULE_ENTRY"
  | "ERR_UNKNOWN_FILE_EXTENSION"
  | "ERR_UNKNOWN_MODULE_FORMAT"
  | "ERR_IMPORT_ATTRIBUTE_MISSING"
  | "ERR_IMPORT_ATTRIBUTE_TYPE_INCOMPATIBLE";

/** Thrown if a module cannot be sent to another context. Nothing of the module's graph was sent. */
export class ModuleError extends MitogenError {
  static {
    // A literal, because the minifier renames classes.
    Object.defineProperty(ModuleError.prototype, "name", {
      value: "ModuleError",
      writable: true,
      configurable: true,
    });
  }
  /** Why the module cannot be sent. */
  override readonly code: ModuleErrorCode;
  /**
   * The modules that lead to the failed one by their imports: from the module that was to be sent to the one
   * that cannot be.
   */
  declare readonly chain?: readonly string[];

  /** @internal */
  constructor(
    code: ModuleErrorCode,
    message: string,
    options: { cause?: unknown; chain?: readonly string[] } = {},
  ) {
    super(message, options);
    this.code = code;
    if (options.chain !== undefined) this.chain = options.chain;
  }
}
