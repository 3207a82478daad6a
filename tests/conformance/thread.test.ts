import { takesLong } from "../support/extent.ts";
import { checkLeaks } from "../support/leak-check.ts";
import { conformance } from "./suite.ts";

checkLeaks({ ignoreCommand: /esbuild/ });

conformance("a thread context", { connect: (router) => router.thread(), isThread: true });

conformance("a thread context of a local child", {
  connect: async (router) => router.thread({ via: await router.local() }),
  isThread: true,
  skip: takesLong,
});
