import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import {
  connectFailure,
  failureText,
  fullFailureText,
  placeOfFailure,
} from "../../../src/cli/screen/failure-text.ts";
import { noNode } from "../../../src/connection/failures/diagnosis.ts";
import { type Failure, newConnectError } from "../../../src/connection/failures/new-connect-error.ts";
import { EofError, StreamError } from "../../../src/errors.ts";
import { repoRoot } from "../../support/lab.ts";

function failed(method: string, failure: Failure, said: string[] = []): Error {
  const known = { method, argv: [], stage: "node" as const, exitCode: null, signal: null };
  return newConnectError(failure, { ...known, stderr: said.join("\n") } as never);
}

describe("failureText", () => {
  it("names the options of the command line instead of those of the library", () => {
    const error = failed("ssh", noNode("Linux x86_64"), ["node: not found"]);
    const cure =
      "use --provision to have one brought there, or set nodePath in the inventory, or put node in the PATH of non-interactive logins";
    assert.equal(
      failureText(error),
      `Cannot connect with ssh(): no node was found on the target (Linux x86_64); ${cure}`,
    );
    assert.equal(fullFailureText(error), `${failureText(error)}\nnode: not found`);
    assert.match(error.message, /pass provision: "cache"/, "the error itself stays as it was");
    assert.deepEqual(connectFailure(error), {
      why: "Cannot connect with ssh(): no node was found on the target (Linux x86_64)",
      cure,
    });
  });

  it("knows which password is meant", () => {
    const failure = { type: EofError, message: "a password is required", hint: "pass password" };
    assert.match(failureText(failed("sudo", failure)), /required; use --ask-sudo-password$/);
    const login = { ...failure, hint: "pass password or identityFile, or load the key into ssh-agent" };
    assert.match(
      failureText(failed("ssh", login)),
      /required; use --ask-password or set identityFile in the inventory, or load the key into ssh-agent$/,
    );
  });

  it("keeps the value that an option should have", () => {
    const told = (hint: string): string =>
      failureText(failed("ssh", { type: EofError, message: "no", hint }));
    assert.match(
      told(
        'raise it there, or pass sshArgs: ["-o", "ControlPath=none"] to have one, or pass checkHostKeys: "accept"',
      ),
      /no; raise it there, or set sshArgs: \["-o", "ControlPath=none"\] in the inventory to have one, or set checkHostKeys: "accept" in the inventory$/,
    );
  });

  it("leaves errors without a cure as they are, and shortens those of commands", () => {
    const plain = failed("ssh", { type: StreamError, message: "it broke", hint: "" }, ["bang"]);
    assert.equal(failureText(plain), "Cannot connect with ssh(): it broke\nbang");
    assert.equal(fullFailureText(new RangeError("too far")), "too far");
    const exit = (fields: object): Error => Object.assign(new Error("long"), { code: "ERR_COMMAND" }, fields);
    assert.equal(failureText(exit({ exitCode: 3, signal: null })), "exit code 3");
    assert.equal(failureText(exit({ exitCode: null, signal: "SIGKILL" })), "ended by SIGKILL");
  });

  it("leaves no hint of the library that says to pass something", () => {
    const folder = join(repoRoot, "src/connection");
    const hints = readdirSync(folder, { recursive: true, encoding: "utf8" })
      .filter((name) => name.endsWith(".ts") && !name.endsWith(".generated.ts"))
      .flatMap((name) => readFileSync(join(folder, name), "utf8").split("\n"))
      .filter((line) => !/^\s*(\*|\/\/)/.test(line))
      .flatMap((line) => line.match(/(["'`])[^"'`]*\bpass [a-z].*\1/) ?? [])
      .filter((text) => text.length > 1)
      .map((text) => text.slice(1, -1));
    assert.ok(hints.length > 10, `${hints.length} hints`);
    for (const hint of hints) {
      const { cure } = connectFailure(failed("sudo", { type: StreamError, message: "no", hint })) as {
        cure: string;
      };
      assert.doesNotMatch(cure, /\bpass |provision:|or nodePath/, cure);
    }
  });
});

describe("placeOfFailure", () => {
  const thrown = (name: string, ...frames: string[]): Error =>
    Object.assign(new Error("no"), { name, stack: ["CallError: no", ...frames].join("\n    ") });

  it("is the first line of the program's own code", () => {
    const error = thrown(
      "CallError",
      "at Object.openSync (node:fs:573:18)",
      "at parse (file:///srv/node_modules/yaml/index.js:1:1)",
      "at read (file:///srv/tasks.ts:12:9)",
      "at file:///srv/tasks.ts:20:3",
    );
    assert.equal(placeOfFailure(error, "/home/ada"), "at read (file:///srv/tasks.ts:12:9)");
    assert.equal(placeOfFailure(error, "/srv"), "at read (tasks.ts:12:9)");
    const script = thrown("CallError", "at fail (/home/ada jr/lib/tasks.cjs:20:3)");
    assert.equal(placeOfFailure(script, "/home/ada jr"), "at fail (lib/tasks.cjs:20:3)");
    const module = thrown("CallError", "at file:///home/ada%20jr/tasks.ts:20:3");
    assert.equal(placeOfFailure(module, "/home/ada jr"), "at tasks.ts:20:3");
  });

  it("is undefined if no such line is there, and for errors of other kinds", () => {
    assert.equal(
      placeOfFailure(thrown("CallError", "at chdir (node:process:1:1)", "at [ssh.web1]")),
      undefined,
    );
    assert.equal(placeOfFailure(thrown("ChannelError", "at read (file:///srv/tasks.ts:12:9)")), undefined);
  });
});
