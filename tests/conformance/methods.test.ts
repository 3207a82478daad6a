import { isRepeated } from "../support/extent.ts";
import { skipReason } from "../support/lab.ts";
import { labMethods } from "../support/lab-methods.ts";
import { checkLeaks } from "../support/leak-check.ts";
import { conformance } from "./suite.ts";

checkLeaks({ ignoreCommand: /esbuild/ });

/** The methods for runs on other Nodes: with and without a question, a network and a container. */
const REPEATED = ["sudo", "ssh → sudo with a password", "ssh with a password", "docker", "kubectl", "exec"];

for (const [name, connect] of Object.entries(labMethods)) {
  if (isRepeated && !REPEATED.includes(name)) continue;
  conformance(`a context by ${name}`, { connect, major: "any", skip: skipReason() });
}
