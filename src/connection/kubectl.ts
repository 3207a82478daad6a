import { type ConnectionMethod, type ConnectOptions, checkOptions, checkTarget } from "./method.ts";

/** Options of `router.kubectl()`. */
export interface KubectlOptions extends ConnectOptions {
  /** A name, or `deployment/name`. */
  readonly pod: string;
  /** One of the pod's containers; by default kubectl picks it. */
  readonly container?: string | undefined;
  /** The client; `kubectl` by default. */
  readonly kubectlPath?: string | undefined;
  /** Arguments in front of `exec`: `["--namespace", "prod"]`. */
  readonly kubectlArgs?: readonly string[] | undefined;
}

/** A container of a pod. */
export const kubectlMethod: ConnectionMethod<KubectlOptions> = {
  name: "kubectl",
  nodeCommand: [],
  // The arguments tell pods of one name apart: they hold the namespace and the cluster.
  contextName: ({ pod, kubectlArgs = [] }) =>
    `kubectl.${pod}${kubectlArgs.length === 0 ? "" : `[${kubectlArgs.join(" ")}]`}`,
  argv(options, boot) {
    checkOptions("kubectl", options, ["pod", "container", "kubectlPath", "kubectlArgs"]);
    const { kubectlPath = "kubectl", kubectlArgs = [] } = options;
    const argv = [kubectlPath, ...kubectlArgs, "exec", "-i", checkTarget("kubectl", "pod", options.pod)];
    if (options.container !== undefined) {
      argv.push(`--container=${checkTarget("kubectl", "container", options.container)}`);
    }
    return [...argv, "--", ...boot.words];
  },
};
