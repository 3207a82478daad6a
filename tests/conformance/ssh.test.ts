import { targetsOf } from "../support/extent.ts";
import { lab, skipReason } from "../support/lab.ts";
import { checkLeaks } from "../support/leak-check.ts";
import { sshTo } from "../support/ssh-options.ts";
import { conformance } from "./suite.ts";

checkLeaks({ ignoreCommand: /esbuild/ });

const skip = skipReason();
// Every login shell boots the same command; the noisy one prints before, around and after it.
for (const name of targetsOf(["dash", "bash", "zsh", "fish", "tcsh", "rbash", "noisy"])) {
  conformance(`an ssh context of an account with ${name}`, {
    connect: (router) => router.ssh(sshTo(`mitogen-${name}`)),
    remoteUser: `mitogen-${name}`,
    major: "any",
    skip: skip || (lab() === undefined ? "there is no lab" : false),
  });
}
