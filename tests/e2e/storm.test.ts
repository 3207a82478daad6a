import assert from "node:assert/strict";
import { it } from "node:test";
import { ChannelError, Router } from "../../src/index.ts";
import * as remote from "../fixtures/remote/functions.ts";
import { lab, skipReason } from "../support/lab.ts";
import { checkLeaks, commandOf, descendants } from "../support/leak-check.ts";
import { sshTo } from "../support/ssh-options.ts";

checkLeaks({ ignoreCommand: /esbuild/ });

it("100 ssh contexts connect at once to one sshd with the default MaxStartups, and leave no process", {
  skip: skipReason(),
  timeout: 300_000,
}, async () => {
  await using router = new Router();
  // Not the sshd that most other tests use, because it turns away some logins meanwhile.
  const port = lab()?.ssh.otherPort as number;
  const options = sshTo("mitogen-dash", { port, checkHostKeys: "ignore", timeoutMs: 200_000 });
  // The first call starts the compiler's process, which stays.
  const first = await router.ssh(options);
  await first.call(remote.add, 1, 1);
  await first.shutdown();
  const contexts = await Promise.all(Array.from({ length: 100 }, () => router.ssh(options)));
  const sums = await Promise.all(contexts.map((context, index) => context.call(remote.add, index, 1)));
  assert.deepEqual(
    sums,
    contexts.map((_, index) => index + 1),
  );
  await router.shutdown();
  // checkLeaks looks at descriptors after all tests of this file.
  assert.deepEqual(
    descendants(process.pid)
      .map(commandOf)
      .filter((command) => !command.includes("esbuild")),
    [],
  );
});

it("a peer that stops answering is given up after three intervals", async () => {
  await using router = new Router(undefined, { keepaliveMs: 300 });
  const [silent, other] = await Promise.all([router.local(), router.local()]);
  const pid = await silent.call(remote.pid);
  const waiting = silent.call(remote.echoLater, 1, 60_000).then(
    () => assert.fail("it answered"),
    (error) => error as Error,
  );
  process.kill(pid, "SIGSTOP");
  const error = await waiting;
  assert.ok(error instanceof ChannelError);
  assert.match(error.message, /no answer for 900 ms/);
  assert.equal(await other.call(remote.add, 1, 1), 2);
});
