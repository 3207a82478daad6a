import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Router, type StreamError } from "../../src/index.ts";
import * as remote from "../fixtures/remote/functions.ts";
import * as runtimeRequests from "../fixtures/remote/runtime-requests.ts";
import { checkLeaks } from "../support/leak-check.ts";
import { machineRoom, nodelessSkip, runtimes } from "../support/provisioning.ts";

checkLeaks({ ignoreCommand: /esbuild/ });

const skip = nodelessSkip();
machineRoom();

describe("a target that lies", { skip }, () => {
  const HEARD = 'until read -r a b && [ "$a" = "$4" ]; do :; done';
  const USABLE = 'echo "$4:P i 2"; echo "$4:P p /x"; echo "$4:P t head gzip"; echo "$4:P ."';
  /** A command that gets the nonce as $4, and lies after it has read a line. */
  const liar = (script: string): string[] => [
    "sh",
    "-c",
    `echo "$4:N Linux x86_64"; ${HEARD}; ${script}`,
    "sh",
  ];
  const lies: [what: string, script: string, code: string | undefined][] = [
    [
      "reads all and says that the sum is wrong",
      `${USABLE}; ${HEARD}; head -c 300000 >/dev/null; echo "$4:P e sum"; cat >/dev/null`,
      "ERR_PROVISION",
    ],
    ["says that it has a node, but has none", 'echo "$4:P r /x/node"; exec cat >/dev/null', undefined],
    [
      "says that it has stored a node, but has none",
      `${USABLE}; ${HEARD}; echo "$4:P r /x/node"; exit 3`,
      "ERR_PROVISION",
    ],
    ["says only unknown words", 'while echo "$4:P x $4"; do :; done', undefined],
    ["prints zeros without end", `${USABLE}; exec cat /dev/zero`, undefined],
    ["prints lines without end while a node is sent", `${USABLE}; ${HEARD}; exec yes`, undefined],
    ["stops reading and stays", `${USABLE}; ${HEARD}; exec sleep 60 <&-`, undefined],
    ["ends early", `${USABLE}; exec head -c 1000000 >/dev/null`, "ERR_PROVISION"],
    [
      "names folders without end",
      'i=0; while [ $i -lt 1000 ]; do echo "$4:P i $i"; printf "%s:P x \\033[2J\\n" $4; i=$((i+1)); done; cat >/dev/null',
      undefined,
    ],
  ];
  for (const [what, script, code] of lies) {
    it(`fails only its own connect: it ${what}`, async () => {
      await using router = new Router(undefined, { provision: "cache", runtimes });
      const options = { command: liar(script), timeoutMs: code === undefined ? 3000 : 30_000 };
      await assert.rejects(router.exec(options), (error: StreamError) => {
        if (code === undefined) assert.match(error.code, /ERR_TIMEOUT|ERR_PROVISION/, error.message);
        else assert.equal(error.code, code, error.message);
        assert.doesNotMatch(error.message, /\x1b/);
        return true;
      });
      const local = await router.local();
      assert.equal(await local.call(remote.add, 1, 2), 3);
    });
  }
});

it("a context whose requests for a node make no sense gets none, and others go on", async () => {
  await using router = new Router();
  const [hostile, other] = await Promise.all([router.local(), router.local()]);
  assert.equal(await hostile.call(runtimeRequests.mode), false);
  const told = await hostile.call(runtimeRequests.nonsense);
  assert.deepEqual(
    told.filter((each) => each !== "dead"),
    [],
  );
  assert.ok((await hostile.call(runtimeRequests.flood, 500)) <= 500);
  assert.equal(await other.call(remote.add, 2, 3), 5);
  // The same through a hop.
  const below = await router.local({ via: hostile });
  const asked = await below.call(runtimeRequests.nonsense, hostile.contextId);
  assert.deepEqual(
    asked.filter((each) => each !== "dead"),
    [],
  );
});
