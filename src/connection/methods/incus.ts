import { required, target, text } from "../../options/option-types.ts";
import type { ConnectOptions, LibraryMethod } from "./method.ts";

/** Options of `router.incus()`. */
export interface IncusOptions extends ConnectOptions {
  /** The name of a running instance. */
  readonly container: string;
  /** The client; `incus` by default. */
  readonly incusPath?: string | undefined;
}

/** Enters an Incus container with its client. */
export const incusMethod: LibraryMethod<IncusOptions> = {
  name: "incus",
  options: { container: required(target), incusPath: text },
  nodeCommand: [],
  hint: "incus hides many errors: check the logs of the host, or run the command by hand",
  contextName: ({ container }) => `incus.${container}`,
  argv(options, boot) {
    const { container, incusPath = "incus" } = options;
    return [incusPath, "exec", "--mode=non-interactive", container, "--", ...boot.words];
  },
};
