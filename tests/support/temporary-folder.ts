import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";

/** A folder that is the temporary folder of this process, and of what it starts, until the test has ended. */
export function temporaryFolder(t: Pick<TestContext, "after">): string {
  const folder = mkdtempSync(join(tmpdir(), "mitogen-test-"));
  setEnvironment(t, { TMPDIR: folder });
  t.after(() => rmSync(folder, { recursive: true }));
  return folder;
}

/** Sets variables of this process until the test has ended. */
export function setEnvironment(
  t: Pick<TestContext, "after">,
  variables: Readonly<Record<string, string>>,
): void {
  for (const [name, value] of Object.entries(variables)) {
    const earlier = process.env[name];
    process.env[name] = value;
    t.after(() => {
      if (earlier === undefined) delete process.env[name];
      else process.env[name] = earlier;
    });
  }
}
