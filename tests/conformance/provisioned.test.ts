import { execFileSync } from "node:child_process";
import { appendFileSync, chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { after, before } from "node:test";
import type { Context, Router } from "../../src/index.ts";
import { lab } from "../support/lab.ts";
import { part } from "../support/lab-methods.ts";
import { checkLeaks } from "../support/leak-check.ts";
import { NodelessMachine, NodelessSshd, nodelessSkip } from "../support/nodeless.ts";
import { conformance } from "./suite.ts";

const IMAGE = "mitogen-nodeless";
/** Of this machine; its home is made there too. */
const ACCOUNT = "mitogen-nonode";
const found = lab();
const skip = nodelessSkip() || (found === undefined ? "there is no lab" : false);

let root: string;
let box: NodelessMachine;
let sshd: NodelessSshd;
const cacheBefore = process.env.XDG_CACHE_HOME;

before(async () => {
  if (skip !== false) return;
  // sshd takes no folder that others may write to, or to its parents.
  root = mkdtempSync("/srv/mitogen-nodeless-");
  chmodSync(root, 0o755);
  process.env.XDG_CACHE_HOME = join(root, "cache");
  mkdirSync(process.env.XDG_CACHE_HOME);
  mkdirSync(join(root, "machine"), { mode: 0o755 });
  box = new NodelessMachine(join(root, "machine"));
  const uid = Number(execFileSync("id", ["-u", ACCOUNT], { encoding: "utf8" }));
  const home = join(box.root, "home", ACCOUNT);
  mkdirSync(home);
  appendFileSync(join(box.root, "etc/passwd"), `${ACCOUNT}:x:${uid}:${uid}::/home/${ACCOUNT}:/bin/sh\n`);
  chownSync(home, uid, uid);
  sshd = await NodelessSshd.start(box, ACCOUNT);
  const { path } = part("docker");
  execFileSync("sh", [
    "-c",
    `tar -C "$1" --exclude=./proc --exclude=./dev -c . | "$2" import - ${IMAGE}`,
    "sh",
    box.root,
    path,
  ]);
});

after(async () => {
  if (skip !== false) return;
  await sshd.stop();
  execFileSync(part("docker").path, ["rmi", "-f", IMAGE]);
  if (cacheBefore === undefined) delete process.env.XDG_CACHE_HOME;
  else process.env.XDG_CACHE_HOME = cacheBefore;
  rmSync(root, { recursive: true });
});

// Behind the hooks above: the daemon is there before and after.
checkLeaks({ ignoreCommand: /esbuild/ });

const login = (router: Router): Promise<Context> =>
  router.ssh({
    hostname: "127.0.0.1",
    port: sshd.port,
    username: ACCOUNT,
    identityFile: sshd.identityFile,
    checkHostKeys: "ignore",
    provision: "cache",
  });

conformance("a context on a machine with busybox alone", {
  connect: (router) => router.exec({ command: box.command(), provision: "cache" }),
  major: "any",
  skip,
});

conformance("an ssh context on a machine with busybox alone", {
  connect: login,
  remoteUser: ACCOUNT,
  major: "any",
  skip,
});

conformance("a local context behind that", {
  connect: async (router) => router.local({ via: await login(router) }),
  major: "any",
  skip,
});

conformance("a docker context of an image with busybox alone", {
  connect: (router) => router.docker({ dockerPath: part("docker").path, image: IMAGE, provision: "cache" }),
  major: "any",
  skip,
});
