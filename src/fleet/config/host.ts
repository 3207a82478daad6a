import type { BuildahOptions } from "../../connection/methods/buildah.ts";
import type { DoasOptions } from "../../connection/methods/doas.ts";
import type { DockerOptions } from "../../connection/methods/docker.ts";
import type { ExecOptions } from "../../connection/methods/exec.ts";
import type { IncusOptions } from "../../connection/methods/incus.ts";
import type { JailOptions } from "../../connection/methods/jail.ts";
import type { KubectlOptions } from "../../connection/methods/kubectl.ts";
import type { LocalOptions } from "../../connection/methods/local.ts";
import type { LxcOptions } from "../../connection/methods/lxc.ts";
import type { LxdOptions } from "../../connection/methods/lxd.ts";
import type { PodmanOptions } from "../../connection/methods/podman.ts";
import type { SetnsOptions } from "../../connection/methods/setns.ts";
import type { SshOptions } from "../../connection/methods/ssh.ts";
import type { SuOptions } from "../../connection/methods/su.ts";
import type { SudoOptions } from "../../connection/methods/sudo.ts";

/** The options of each connection method that a step may use: docs/connections.md */
export interface StepOptions {
  /** Of `Router.local`: {@link LocalOptions}. */
  local: LocalOptions;
  /** Of `Router.ssh`: {@link SshOptions}. */
  ssh: SshOptions;
  /** Of `Router.sudo`: {@link SudoOptions}. */
  sudo: SudoOptions;
  /** Of `Router.su`: {@link SuOptions}. */
  su: SuOptions;
  /** Of `Router.doas`: {@link DoasOptions}. */
  doas: DoasOptions;
  /** Of `Router.docker`: {@link DockerOptions}. */
  docker: DockerOptions;
  /** Of `Router.podman`: {@link PodmanOptions}. */
  podman: PodmanOptions;
  /** Of `Router.buildah`: {@link BuildahOptions}. */
  buildah: BuildahOptions;
  /** Of `Router.kubectl`: {@link KubectlOptions}. */
  kubectl: KubectlOptions;
  /** Of `Router.lxc`: {@link LxcOptions}. */
  lxc: LxcOptions;
  /** Of `Router.lxd`: {@link LxdOptions}. */
  lxd: LxdOptions;
  /** Of `Router.incus`: {@link IncusOptions}. */
  incus: IncusOptions;
  /** Of `Router.jail`: {@link JailOptions}. */
  jail: JailOptions;
  /** Of `Router.setns`: {@link SetnsOptions}. */
  setns: SetnsOptions;
  /** Of `Router.exec`: {@link ExecOptions}. */
  exec: ExecOptions;
}

/** The name of a connection method. */
export type StepMethod = keyof StepOptions;

/**
 * One connection method with its options: an object with exactly one key, such as `{ ssh: { hostname: "10.0.0.1" } }`.
 */
export type Step = {
  [M in StepMethod]: { readonly [K in M]: Omit<StepOptions[M], "via"> } & {
    readonly [K in Exclude<StepMethod, M>]?: never;
  };
}[StepMethod];

/** One host of an inventory. */
export interface Host {
  /** Unique in its inventory. */
  readonly name: string;
  /** The groups that the host belongs to, without "@". Groups that no pattern used are not listed. */
  readonly groups: readonly string[];
  /** The host's variables: those of the inventory, overridden by those of its groups, overridden by its own. */
  readonly vars: Readonly<Record<string, unknown>>;
  /** How the program reaches the host: at least one step, the outermost first. */
  readonly steps: readonly Step[];
}
