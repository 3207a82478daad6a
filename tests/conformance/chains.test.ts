import type { Context, Router } from "../../src/index.ts";
import { takesLong } from "../support/extent.ts";
import { skipReason } from "../support/lab.ts";
import { checkLeaks } from "../support/leak-check.ts";
import { sshTo } from "../support/ssh-options.ts";
import { conformance } from "./suite.ts";

checkLeaks({ ignoreCommand: /esbuild/ });

/** The hops of each router: the contexts under test come and go behind the same ones. */
const hops = new WeakMap<Router, Promise<Context>>();

async function behind(router: Router, depth: number): Promise<Context> {
  let last = hops.get(router);
  if (last === undefined) {
    last = chainOf(router, depth);
    hops.set(router, last);
  }
  return await router.local({ via: await last });
}

async function chainOf(router: Router, depth: number): Promise<Context> {
  let via = await router.local();
  for (let level = 1; level < depth; level++) via = await router.local({ via });
  return via;
}

conformance("a local context behind a local one", {
  connect: (router) => behind(router, 1),
  isLocal: true,
  endsAlike: true,
});

conformance("a local context behind nine others", {
  connect: (router) => behind(router, 9),
  isLocal: true,
  skip: takesLong,
});

conformance("a local context behind an ssh one", {
  connect: async (router) => router.local({ via: await router.ssh(sshTo("mitogen-dash")) }),
  remoteUser: "mitogen-dash",
  major: "any",
  skip: skipReason(),
});
