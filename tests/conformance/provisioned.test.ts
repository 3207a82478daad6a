import { execFileSync } from "node:child_process";
import { after, before } from "node:test";
import type { Context, Router } from "../../src/index.ts";
import { skipReason } from "../support/lab.ts";
import { part } from "../support/lab-methods.ts";
import { checkLeaks } from "../support/leak-check.ts";
import { clearHost, sshToHost } from "../support/nodeless-hosts.ts";
import { machineRoom } from "../support/provisioning.ts";
import { conformance } from "./suite.ts";

const CONTAINER = "mitogen-conformance";
const HOSTS = ["busybox", "debian"];
const skip = skipReason();
machineRoom();

before(() => {
  if (skip !== false) return;
  HOSTS.forEach(clearHost);
  const { path } = part("docker");
  execFileSync(path, ["rm", "--force", CONTAINER], { stdio: "ignore" });
  const { image } = part("nodeless");
  const options = ["--detach", "--init", "--network=none", "--name", CONTAINER];
  execFileSync(path, ["run", ...options, image, "sleep", "3600"]);
});

after(() => {
  if (skip !== false) return;
  HOSTS.forEach(clearHost);
  execFileSync(part("docker").path, ["rm", "--force", CONTAINER]);
});

checkLeaks({ ignoreCommand: /esbuild/ });

const login = (router: Router): Promise<Context> =>
  router.ssh({ ...sshToHost("busybox"), provision: "cache" });

conformance("an ssh context on a host with busybox alone", {
  connect: login,
  remoteUser: "mitogen-nonode",
  major: "any",
  skip,
});

conformance("a local context behind that", {
  connect: async (router) => router.local({ via: await login(router) }),
  major: "any",
  skip,
});

conformance("a sudo context of a host without node", {
  async connect(router) {
    const user = await router.ssh({ ...sshToHost("debian", "mitogen-sudo-nopw"), provision: "cache" });
    return router.sudo({ via: user, username: part("become").target });
  },
  remoteUser: "mitogen-target",
  major: "any",
  skip,
});

conformance("a docker context in a container with busybox alone", {
  connect: (router) =>
    router.docker({ dockerPath: part("docker").path, container: CONTAINER, provision: "cache" }),
  major: "any",
  skip,
});
