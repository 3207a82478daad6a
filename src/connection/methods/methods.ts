import { buildahMethod } from "./buildah.ts";
import { doasMethod } from "./doas.ts";
import { dockerMethod } from "./docker.ts";
import { execMethod } from "./exec.ts";
import { incusMethod } from "./incus.ts";
import { jailMethod } from "./jail.ts";
import { kubectlMethod } from "./kubectl.ts";
import { localMethod } from "./local.ts";
import { lxcMethod } from "./lxc.ts";
import { lxdMethod } from "./lxd.ts";
import type { LibraryMethod } from "./method.ts";
import { podmanMethod } from "./podman.ts";
import { setnsMethod } from "./setns.ts";
import { sshMethod } from "./ssh.ts";
import { suMethod } from "./su.ts";
import { sudoMethod } from "./sudo.ts";

/**
 * Every connection method by its name, which is how a request to another context names it. The object has no
 * prototype, so any name may be looked up.
 */
export const methods: Readonly<Record<string, LibraryMethod>> = Object.assign(Object.create(null), {
  local: localMethod,
  ssh: sshMethod,
  sudo: sudoMethod,
  su: suMethod,
  doas: doasMethod,
  docker: dockerMethod,
  podman: podmanMethod,
  buildah: buildahMethod,
  kubectl: kubectlMethod,
  lxc: lxcMethod,
  lxd: lxdMethod,
  incus: incusMethod,
  jail: jailMethod,
  setns: setnsMethod,
  exec: execMethod,
});
