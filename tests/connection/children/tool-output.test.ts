import assert from "node:assert/strict";
import { test } from "node:test";
import { payloadBytes } from "../../../src/bootstrap/payload.ts";
import { ToolOutput } from "../../../src/connection/children/tool-output.ts";

const output = (): ToolOutput => new ToolOutput("ssh", (text) => text.replaceAll("hunter2", "***"));

test("ToolOutput: keeps the lines of both streams, and masks secrets only for people", () => {
  const heard = output();
  assert.deepEqual(heard.push("stderr", Buffer.from("hunter2\nsecond\nop")), ["hunter2", "second"]);
  assert.deepEqual(heard.push("stdout", Buffer.from("motd\n")), ["motd"]);
  assert.deepEqual(heard.push("stderr", Buffer.from("en\n")), ["open"]);
  assert.deepEqual(heard.lines(), ["hunter2", "second", "motd", "open"]);
  assert.deepEqual(heard.readableLines(), ["***", "second", "motd", "open"]);
  assert.equal(String(heard), "***\nsecond\nmotd\nopen");
  heard.forget();
  assert.deepEqual(heard.lines(), []);
});

test("ToolOutput: finds an echo of the payload, cut anywhere", () => {
  const start = payloadBytes().subarray(0, 16);
  for (let cut = 0; cut <= start.length; cut++) {
    const heard = output();
    const isCut = heard.isEcho(Buffer.concat([Buffer.from("login: "), start.subarray(0, cut)]));
    assert.equal(isCut, cut === start.length);
    assert.ok(isCut || heard.isEcho(start.subarray(cut)), `cut at ${cut}`);
  }
  assert.equal(output().isEcho(payloadBytes().subarray(0, 15)), false);
});
