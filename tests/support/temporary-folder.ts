import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";

/** Makes a folder that is TMPDIR for this process, and for processes it starts, until the test ends. */
export function temporaryFolder(t: Pick<TestContext, "after">): string {
  const folder = mkdtempSync(join(tmpdir(), "mitogen-test-"));
  setEnvironment(t, { TMPDIR: folder });
  t.after(() => rmSync(folder, { recursive: true }));
  return folder;
}

/** What variables were before tests changed them. A test may change one twice, and its hooks run in their own order. */
const original = new Map<string, string | undefined>();

/** Sets environment variables of this process until the test ends. */
export function setEnvironment(
  t: Pick<TestContext, "after">,
  variables: Readonly<Record<string, string>>,
): void {
  for (const [name, value] of Object.entries(variables)) {
    if (!original.has(name)) original.set(name, process.env[name]);
    process.env[name] = value;
    t.after(() => {
      if (!original.has(name)) return;
      const earlier = original.get(name);
      original.delete(name);
      if (earlier === undefined) delete process.env[name];
      else process.env[name] = earlier;
    });
  }
}
