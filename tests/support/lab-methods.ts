import { readFileSync } from "node:fs";
import { type Context, type Router, Secret, type SshOptions } from "../../src/index.ts";
import { type LabMethods, lab } from "./lab.ts";
import { sshTo } from "./ssh-options.ts";

/** One part of the lab, which must be up. */
export function part<Name extends keyof LabMethods>(name: Name): LabMethods[Name] {
  const found = lab()?.[name];
  if (found === undefined || !found.available)
    throw new Error(`The lab has no ${name}: ${found?.reason ?? "it is not up"}`);
  return found as unknown as LabMethods[Name];
}

/** The password of the lab's accounts and containers. */
export function password(): Secret {
  return new Secret(readFileSync(part("become").passwordFile, "utf8").trim());
}

/** Ways to start a context with each connection method that the lab can run, by name. */
export const labMethods: Readonly<Record<string, (router: Router) => Promise<Context>>> = {
  sudo: (router) => router.sudo({ username: "mitogen-target", nodePath: lab()?.node }),
  su: (router) => router.su({ username: "mitogen-target", nodePath: lab()?.node }),
  "ssh → sudo with a password": async (router) => {
    const login = await router.ssh(sshTo("mitogen-sudo-pw"));
    return router.sudo({ via: login, username: "mitogen-target", password: password() });
  },
  "ssh → sudo where a terminal is required": async (router) => {
    const login = await router.ssh(sshTo("mitogen-sudo-tty"));
    return router.sudo({ via: login, username: "mitogen-target", password: password() });
  },
  "ssh → su with a password": async (router) => {
    const login = await router.ssh(sshTo("mitogen-dash"));
    return router.su({ via: login, username: "mitogen-target", password: password() });
  },
  "ssh → doas with a password": async (router) => {
    const login = await router.ssh(sshTo("mitogen-doas-pw"));
    return router.doas({ via: login, username: "root", password: password() });
  },
  "ssh with a password": (router) => {
    const {
      password: _,
      identityFile: __,
      ...options
    } = sshTo("mitogen-password") as SshOptions & { password?: never };
    const given = readFileSync(lab()?.ssh.passwordFile as string, "utf8").trim();
    return router.ssh({ ...options, password: new Secret(given) });
  },
  dropbear: (router) => {
    const { host, port, knownHosts } = part("dropbear");
    return router.ssh(
      sshTo("mitogen-dash", { hostname: host, port, sshArgs: ["-o", `UserKnownHostsFile=${knownHosts}`] }),
    );
  },
  docker: (router) => {
    const { path, container } = part("docker");
    return router.docker({ dockerPath: path, container });
  },
  "docker image": (router) => {
    const { path, image } = part("docker");
    return router.docker({ dockerPath: path, image });
  },
  "docker → su": async (router) => {
    const { path, container, user } = part("docker");
    const inside = await router.docker({ dockerPath: path, container });
    return router.su({ via: inside, username: user });
  },
  podman: (router) => {
    const { path, container } = part("podman");
    return router.podman({ podmanPath: path, container });
  },
  buildah: (router) => {
    const { path, container } = part("buildah");
    return router.buildah({ buildahPath: path, container });
  },
  lxc: (router) => {
    const { path, container } = part("lxc");
    return router.lxc({ lxcAttachPath: path, container });
  },
  lxd: (router) => {
    const { path, container } = part("lxd");
    return router.lxd({ lxcPath: path, container });
  },
  "setns of docker": (router) => {
    const { path, container } = part("docker");
    return router.setns({ kind: "docker", dockerPath: path, container });
  },
  "setns of lxc": (router) => {
    const { infoPath, container } = part("lxc");
    return router.setns({ kind: "lxc", lxcInfoPath: infoPath, container });
  },
  kubectl: (router) => {
    const { path, pod, container, kubeconfig } = part("kubectl");
    return router.kubectl({ kubectlPath: path, pod, container, kubectlArgs: ["--kubeconfig", kubeconfig] });
  },
  exec: (router) => router.exec({ command: ["env", "MITOGEN_TEST=1"], nodePath: process.execPath }),
  "ssh → ssh (bastion) → sudo → docker": async (router) => {
    const { outer, inner, knownHosts } = part("bastion");
    const sshArgs = ["-o", `UserKnownHostsFile=${knownHosts}`];
    const bastion = await router.ssh(
      sshTo("mitogen-dash", { hostname: outer.host, port: outer.port, sshArgs }),
    );
    const host = await router.ssh({
      via: bastion,
      hostname: inner.host,
      port: inner.port,
      username: "mitogen-sudo-nopw",
      // The bastion account knows the inner host from its own known_hosts, or learns it now.
      checkHostKeys: "accept",
    });
    const root = await router.sudo({ via: host });
    const { path, container } = part("docker");
    return router.docker({ via: root, dockerPath: path, container });
  },
};
