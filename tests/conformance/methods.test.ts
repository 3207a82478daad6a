import { skipReason } from "../support/lab.ts";
import { labMethods } from "../support/lab-methods.ts";
import { checkLeaks } from "../support/leak-check.ts";
import { conformance } from "./suite.ts";

checkLeaks({ ignoreCommand: /esbuild/ });

for (const [name, connect] of Object.entries(labMethods)) {
  conformance(`a context by ${name}`, { connect, major: "any", skip: skipReason() });
}
