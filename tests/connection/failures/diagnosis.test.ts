import assert from "node:assert/strict";
import { test } from "node:test";
import { timedOut, whyEnded } from "../../../src/connection/failures/diagnosis.ts";

test("whyEnded takes a node that does not know our options for too old", () => {
  for (const option of ["--input-type=commonjs", "--experimental-vm-modules"]) {
    const failure = whyEnded({
      ...{ method: { name: "ssh", ownExitCode: 255 }, tool: "ssh", node: undefined, stage: "node" },
      ...{
        exit: { code: 9, signal: null },
        lines: [`node: bad option: ${option}`],
        terminal: undefined,
        hasTyped: false,
      },
    });
    assert.equal(failure.code, "ERR_NODE_VERSION");
    assert.ok(
      failure.message.endsWith(`it does not know ${option.replace("=commonjs", "")}`),
      failure.message,
    );
  }
});

test("whyEnded does not take our shell that cannot start a process for another command", () => {
  const failure = whyEnded({
    ...{ method: { name: "ssh", ownExitCode: 255 }, tool: "ssh", node: undefined, stage: "shell" },
    ...{
      exit: { code: 2, signal: null },
      lines: ["9904efecb21b8e5b: 1: Cannot fork"],
      terminal: undefined,
      hasTyped: false,
    },
  });
  assert.equal(failure.code, undefined);
  assert.match(failure.hint ?? "", /ulimit -u/);
});

test("whyEnded says that a login script may have read from the payload, however much of it is missing", () => {
  for (const line of [
    "ReferenceError: payload_cut is not defined",
    "  code: 'Z_BUF_ERROR'",
    "  code: 'ERR__ERROR_FORMAT_PADDING_1'",
  ]) {
    const failure = whyEnded({
      ...{ method: { name: "ssh", ownExitCode: 255 }, tool: "ssh", node: undefined, stage: "node" },
      ...{
        exit: { code: 1, signal: null },
        lines: ["node:zlib:425", line],
        terminal: undefined,
        hasTyped: false,
      },
    });
    assert.match(failure.message, /payload/);
    assert.match(failure.hint ?? "", /a login script or the command of nodePath reads the input/);
  }
});

test("timedOut names the option for a question that su did not get answered, which may be for the password", () => {
  const hintOf = (method: string) => timedOut(method, "transport", 1000, "Geheimwort: ", "").hint;
  const asks = 'it may be waiting for an answer to "Geheimwort:"';
  assert.equal(hintOf("su"), `${asks}; pass passwordPrompt if that asks for the password, or answers if not`);
  assert.equal(hintOf("ssh"), `${asks}; pass answers`);
  assert.equal(hintOf("docker"), asks);
});
