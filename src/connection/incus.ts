import { type ConnectionMethod, type ConnectOptions, checkOptions, checkTarget } from "./method.ts";

/** Options of `router.incus()`. */
export interface IncusOptions extends ConnectOptions {
  readonly container: string;
  /** The client; `incus` by default. */
  readonly incusPath?: string | undefined;
}

/** A container of Incus, through its client. */
export const incusMethod: ConnectionMethod<IncusOptions> = {
  name: "incus",
  nodeCommand: [],
  hint: "incus hides many errors: look into the logs of the host, or run it by hand",
  contextName: ({ container }) => `incus.${container}`,
  argv(options, boot) {
    checkOptions("incus", options, ["container", "incusPath"]);
    const container = checkTarget("incus", "container", options.container);
    const { incusPath = "incus" } = options;
    return [incusPath, "exec", "--mode=non-interactive", container, "--", ...boot.words];
  },
};
