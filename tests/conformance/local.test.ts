import { targetsOf } from "../support/extent.ts";
import { nodes, skipReason } from "../support/lab.ts";
import { checkLeaks } from "../support/leak-check.ts";
import { conformance } from "./suite.ts";

checkLeaks({ ignoreCommand: /esbuild/ });

conformance("a local context", { connect: (router) => router.local(), isLocal: true });

for (const major of targetsOf([12, 14, 16, 18, 20, 22, 24, 26])) {
  const nodePath = nodes[major] ?? "";
  conformance(`a local context on Node ${major}`, {
    connect: (router) => router.local({ nodePath }),
    major,
    isLocal: true,
    skip: skipReason(),
  });
}
