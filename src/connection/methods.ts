import { localMethod } from "./local.ts";
import type { ConnectionMethod } from "./method.ts";
import { sshMethod } from "./ssh.ts";

/** Every connection method by its name, as a request to another context names it. */
export const methods: Readonly<Record<string, ConnectionMethod>> = {
  local: localMethod,
  ssh: sshMethod as unknown as ConnectionMethod,
};
