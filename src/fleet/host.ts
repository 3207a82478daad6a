import type { BuildahOptions } from "../connection/methods/buildah.ts";
import type { DoasOptions } from "../connection/methods/doas.ts";
import type { DockerOptions } from "../connection/methods/docker.ts";
import type { ExecOptions } from "../connection/methods/exec.ts";
import type { IncusOptions } from "../connection/methods/incus.ts";
import type { JailOptions } from "../connection/methods/jail.ts";
import type { KubectlOptions } from "../connection/methods/kubectl.ts";
import type { LocalOptions } from "../connection/methods/local.ts";
import type { LxcOptions } from "../connection/methods/lxc.ts";
import type { LxdOptions } from "../connection/methods/lxd.ts";
import type { PodmanOptions } from "../connection/methods/podman.ts";
import type { SetnsOptions } from "../connection/methods/setns.ts";
import type { SshOptions } from "../connection/methods/ssh.ts";
import type { SuOptions } from "../connection/methods/su.ts";
import type { SudoOptions } from "../connection/methods/sudo.ts";

/** The options of each connection method that a step may use: docs/connections.md */
export interface StepOptions {
  local: LocalOptions;
  ssh: SshOptions;
  sudo: SudoOptions;
  su: SuOptions;
  doas: DoasOptions;
  docker: DockerOptions;
  podman: PodmanOptions;
  buildah: BuildahOptions;
  kubectl: KubectlOptions;
  lxc: LxcOptions;
  lxd: LxdOptions;
  incus: IncusOptions;
  jail: JailOptions;
  setns: SetnsOptions;
  exec: ExecOptions;
}

/** The name of a connection method. */
export type StepMethod = keyof StepOptions;

/** One connection method with its options, such as `{ ssh: { hostname: "10.0.0.1" } }`: exactly one key. `via` is the step before. */
export type Step = {
  [M in StepMethod]: { readonly [K in M]: Omit<StepOptions[M], "via"> } & {
    readonly [K in Exclude<StepMethod, M>]?: never;
  };
}[StepMethod];

/** One host of an inventory. */
export interface Host {
  /** Unique in its inventory. */
  readonly name: string;
  /** The groups whose members name it, without "@". Groups that no pattern used are not listed. */
  readonly groups: readonly string[];
  /** Its variables: of the inventory, then of its groups, then its own. Values that can travel (docs/encoding.md). */
  readonly vars: Readonly<Record<string, unknown>>;
  /** How the program reaches it: at least one step, the outermost first. */
  readonly steps: readonly Step[];
}
