import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { copyFileSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { startFault } from "../../src/process/start-fault.ts";

const folder = mkdtempSync(join(tmpdir(), "mitogen-test-"));
after(() => rmSync(folder, { recursive: true }));

function script(name: string, text: string | Buffer, mode = 0o755): string {
  const path = join(folder, name);
  writeFileSync(path, text, { mode });
  return path;
}

/** What `startFault` says about a program that the system really did not start. */
function faultOf(file: string, path = "/usr/bin:/bin", cwd?: string): string | undefined {
  const { error } = spawnSync(file, { cwd, env: { PATH: path } });
  assert.ok(error, `${file} was started`);
  return startFault((error as NodeJS.ErrnoException).code, { file, path, cwd });
}

describe("startFault", () => {
  const interpreted = script("interpreted", "#!/no/such/sh -e\necho hi\n");
  const windows = script("windows", "#!/bin/sh\r\necho hi\r\n");
  script("plain", "#!/bin/sh\n", 0o644);
  symlinkSync("loop", join(folder, "loop"));
  const cases: [title: string, fault: () => string | undefined, expected: RegExp][] = [
    [
      "a missing interpreter",
      () => faultOf(interpreted),
      /^there is no "\/no\/such\/sh", which the first line of ".*interpreted" names/,
    ],
    [
      "one in PATH",
      () => faultOf("interpreted", `/no:${folder}`),
      /^there is no "\/no\/such\/sh", which the first line of "interpreted"/,
    ],
    [
      "line ends of Windows",
      () => faultOf(windows),
      /^the first line of ".*windows" ends with a carriage return; save/,
    ],
    [
      "a file that is not executable",
      () => faultOf("./plain", "", folder),
      /^"\.\/plain" is not executable; .*chmod \+x/,
    ],
    ["a folder", () => faultOf(folder), /^".*" is a folder; pass the program in it/],
    ["a loop of links", () => faultOf(join(folder, "loop")), /leads to itself$/],
    [
      "a missing program",
      () => faultOf("no-such-tool", "/no:"),
      /^there is no program "no-such-tool" in PATH \(\/no:\); install it/,
    ],
  ];
  for (const [title, fault, expected] of cases) {
    it(`names ${title}`, () => assert.match(fault() ?? "", expected));
  }

  it("names a missing loader", { skip: process.platform !== "linux" }, () => {
    const program = join(folder, "program");
    copyFileSync("/bin/true", program);
    const bytes = readFileSync(program).toString("latin1");
    writeFileSync(
      program,
      Buffer.from(
        bytes.replace(/\/lib[\w./-]*ld-/, (loader) => loader.replace("/lib", "/nil")),
        "latin1",
      ),
    );
    assert.match(faultOf(program) ?? "", /the loader that it was linked for is missing/);
  });

  it("says nothing about a limit", () => {
    assert.equal(startFault("EMFILE", { file: "sh", path: "/bin" }), undefined);
  });
});
