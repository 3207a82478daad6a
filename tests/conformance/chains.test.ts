import type { Context, Router } from "../../src/index.ts";
import { skipReason } from "../support/lab.ts";
import { checkLeaks } from "../support/leak-check.ts";
import { sshTo } from "../support/ssh-options.ts";
import { conformance } from "./suite.ts";

checkLeaks({ ignoreCommand: /esbuild/ });

async function nested(router: Router, depth: number): Promise<Context> {
  let via: Context | undefined;
  for (let level = 0; level < depth; level++) via = await router.local({ via });
  return via as Context;
}

conformance("a local context behind a local one", { connect: (router) => nested(router, 2), isLocal: true });

conformance("a local context behind nine others", { connect: (router) => nested(router, 10), isLocal: true });

conformance("a local context behind an ssh one", {
  connect: async (router) => router.local({ via: await router.ssh(sshTo("mitogen-dash")) }),
  remoteUser: "mitogen-dash",
  major: "any",
  skip: skipReason(),
});
