import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { Context } from "../../src/core/context.ts";
import { Profiles } from "../../src/diagnostics/profiles.ts";
import { captureLogs, printed } from "../support/fake-log-sink.ts";

/** A context that sends `text` when it is asked for its profile. */
function sending(text: unknown): Context {
  const disconnected = new Promise(() => undefined);
  const calls = { with: () => ({ call: async () => text }) };
  const context = { name: "local.web1", goneReason: undefined, disconnected, ...calls };
  return context as unknown as Context;
}

test("Profiles writes what a context sends only if it is a profile, and under a name of the program's", async (t) => {
  const records = captureLogs(t, "warning");
  const folder = mkdtempSync(join(tmpdir(), "mitogen-profiles-test-"));
  t.after(() => {
    delete process.env["MITOGEN_PROFILING"];
    delete process.env["MITOGEN_PROFILE_FMT"];
    rmSync(folder, { recursive: true });
  });
  process.env["MITOGEN_PROFILING"] = "1";
  process.env["MITOGEN_PROFILE_FMT"] = join(folder, "{identity}.{ext}");
  const profiles = Profiles.fromEnvironment() as Profiles;
  for (const text of ["{}", '{"nodes":1}', "[]", "null", "no JSON", "", 7, '{"nodes":[]}']) {
    profiles.begin(sending(text));
    await profiles.collect(() => true);
  }
  assert.deepEqual(readdirSync(folder), ["local.web1.cpuprofile"]);
  const warnings = printed(records);
  // One for each text except the profile, and except the empty text of a context without a profile.
  assert.equal(warnings.length, 6);
  for (const warning of warnings) assert.match(warning, /^warning: No profile of local\.web1: \w+Error: /);
  profiles.end();
  assert.deepEqual(readdirSync(folder).sort(), ["local.web1.cpuprofile", "master.cpuprofile"]);
});
