import { builtinModules } from "node:module";
import { builtinExports } from "../builtins.ts";

/**
 * Removes the globals that only a program given on the command line has. With them, a module that looks for
 * `require` or `exports` would take itself for CommonJS.
 */
export function hideCommandLine(): void {
  // A node that was brought into memory can be started again only by this path: docs/provision.md.
  if (/^\/memfd:.* \(deleted\)$/.test(process.execPath)) process.execPath = `/proc/${process.pid}/exe`;
  for (const name of ["require", "exports", "__filename", "__dirname", ...builtinModules]) {
    const found = Object.getOwnPropertyDescriptor(globalThis, name);
    if (found === undefined || name === "process" || name === "console") continue;
    Reflect.deleteProperty(globalThis, name);
    // The Web Crypto API is a global in every program. Here the module of the same name hid it.
    if (name !== "crypto" || found.enumerable !== true) continue;
    const get = (): unknown => (builtinExports(name) as { webcrypto: unknown }).webcrypto;
    Object.defineProperty(globalThis, name, { get, configurable: true, enumerable: true });
  }
}
