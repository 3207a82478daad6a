import { argumentList, required, target, text } from "../../options/option-types.ts";
import type { ConnectOptions, LibraryMethod } from "./method.ts";

/** Options of `router.kubectl()`. */
export interface KubectlOptions extends ConnectOptions {
  /** A pod's name, or `deployment/name`. */
  readonly pod: string;
  /** One of the pod's containers; by default kubectl chooses it. */
  readonly container?: string | undefined;
  /** The client; `kubectl` by default. */
  readonly kubectlPath?: string | undefined;
  /** Arguments before `exec`: `["--namespace", "prod"]`. */
  readonly kubectlArgs?: readonly string[] | undefined;
}

/** Enters a container of a pod. */
export const kubectlMethod: LibraryMethod<KubectlOptions> = {
  name: "kubectl",
  options: { pod: required(target), container: target, kubectlPath: text, kubectlArgs: argumentList },
  nodeCommand: [],
  // The arguments distinguish pods of the same name: they hold the namespace and the cluster.
  contextName: ({ pod, kubectlArgs = [] }) =>
    `kubectl.${pod}${kubectlArgs.length === 0 ? "" : `[${kubectlArgs.join(" ")}]`}`,
  argv(options, boot) {
    const { pod, container, kubectlPath = "kubectl", kubectlArgs = [] } = options;
    const argv = [kubectlPath, ...kubectlArgs, "exec", "-i", pod];
    if (container !== undefined) argv.push(`--container=${container}`);
    return [...argv, "--", ...boot.words];
  },
};
