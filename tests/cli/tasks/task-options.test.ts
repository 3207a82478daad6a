import assert from "node:assert/strict";
import { test } from "node:test";
import { type TaskDescription, takeArguments } from "../../../src/cli/tasks/task-options.ts";
import { UsageError } from "../../../src/cli/usage-error.ts";

const given = { type: "string", text: "", isOptional: false, isRest: false } as const;
const DEPLOY: TaskDescription = {
  summary: "",
  args: [
    { ...given, name: "version" },
    { ...given, name: "port", type: "number" },
    { ...given, name: "kind", choices: ["slow", "fast"], isOptional: true },
    { ...given, name: "hosts", isRest: true },
  ],
};

test("takeArguments converts what fits the description of a task", () => {
  const words = ["v1", "80", "fast", "a", "b"];
  assert.deepEqual(takeArguments(words, DEPLOY, false), ["v1", 80, "fast", "a", "b"]);
  assert.deepEqual(takeArguments(["v1", "80"], DEPLOY, false), ["v1", 80]);
});

test("takeArguments refuses what does not fit it", () => {
  const cases: [string[], string][] = [
    [["v1"], "The function got 1 argument, but it takes VERSION PORT [KIND] [HOSTS...]"],
    [["v1", "x"], 'The argument PORT must be a number, got "x"'],
    [["v1", "1", "medium"], 'The argument KIND must be one of slow, fast, got "medium"'],
  ];
  for (const [words, message] of cases) {
    assert.throws(
      () => takeArguments(words, DEPLOY, false),
      (error) => error instanceof UsageError && error.message === message,
    );
  }
});
