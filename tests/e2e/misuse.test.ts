/** What is called wrongly says so in the caller's words: what was wanted, what was given, what to write. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import {
  type Context,
  FileService,
  isMain,
  Pool,
  Receiver,
  Router,
  Select,
  takesEcontext,
  takesRouter,
} from "../../src/index.ts";
import { checkLeaks } from "../support/leak-check.ts";

checkLeaks({ ignoreCommand: /esbuild/ });

// biome-ignore lint/suspicious/noExplicitAny: that is the subject
type Loose = any;

describe("misuse", () => {
  let router: Router;
  let context: Context;
  before(async () => {
    router = new Router();
    context = await router.local();
  });
  after(() => router.shutdown());

  const object = "the options must be an object";
  const cases: [title: string, misuse: () => unknown, message: string][] = [
    [
      "ssh with a name",
      () => (router as Loose).ssh("web1"),
      `Cannot connect with ssh(): ${object}, got "web1"; write ssh({ hostname: "web1" })`,
    ],
    [
      "ssh with nothing",
      () => (router as Loose).ssh(),
      `Cannot connect with ssh(): ${object}, got undefined; write ssh({ hostname: … })`,
    ],
    [
      "ssh with a list",
      () => (router as Loose).ssh(["web1"]),
      `Cannot connect with ssh(): ${object}, got an array; write ssh({ hostname: … })`,
    ],
    [
      "exec with a list",
      () => (router as Loose).exec(["ls"]),
      `Cannot connect with exec(): ${object}, got an array; write exec({ command: … })`,
    ],
    [
      "sudo with a name",
      () => (router as Loose).sudo("app"),
      `Cannot connect with sudo(): ${object}, got "app"`,
    ],
    [
      "thread with a name",
      () => (router as Loose).thread("t"),
      `Cannot connect with thread(): ${object}, got "t"`,
    ],
    [
      "connect with an empty method",
      () => (router as Loose).connect({}),
      "Cannot connect with a method of your own: the method.name must be an object with a name, a nodeCommand, argv() and contextName(), got undefined",
    ],
    ["with() a list", () => (context as Loose).with([5]), `Cannot call: ${object}, got an array`],
    [
      "a Receiver of nothing",
      () => new (Receiver as Loose)(),
      "Cannot make a receiver: the router must be a Router, got undefined",
    ],
    [
      "a Pool of nothing",
      () => new (Pool as Loose)(),
      "Cannot make a pool: the router must be a Router, got undefined",
    ],
    [
      "a FileService of nothing",
      () => new (FileService as Loose)(),
      "Cannot make a FileService: the router must be a Router, got undefined",
    ],
    [
      "a file of nothing",
      () => (new FileService(router) as Loose).register(),
      "Cannot register a file: path must be a string with 1 or more characters, none of them NUL, got undefined",
    ],
    [
      "a Select of a number",
      () => new (Select as Loose)(5),
      "Cannot make a select: the sources must be a list of Receivers and Selects, got 5",
    ],
    [
      "a Select of numbers",
      () => new (Select as Loose)([5]),
      "Cannot add source: it must be a Receiver or a Select, got 5",
    ],
    [
      "takesEcontext of nothing",
      () => (takesEcontext as Loose)(),
      "Cannot make a function that takes the econtext: the first argument must be a function, got undefined",
    ],
    [
      "takesRouter of nothing",
      () => (takesRouter as Loose)(),
      "Cannot make a function that takes the router: the first argument must be a function, got undefined",
    ],
    [
      "isMain of nothing",
      () => (isMain as Loose)(),
      "Cannot tell whether this is the program's entry script: isMain() takes import.meta, or module, got undefined",
    ],
  ];
  for (const [title, misuse, message] of cases) {
    it(`${title} is told in the caller's words`, async () => {
      await assert.rejects(async () => await misuse(), {
        name: "TypeError",
        code: "ERR_INVALID_ARG_TYPE",
        message,
      });
    });
  }

  it("a ping that times out names the context, and no number of ours", async () => {
    await assert.rejects(context.ping({ timeoutMs: 0 }), {
      code: "ERR_TIMEOUT",
      message: `Cannot reach ${context.name}: no answer within 0 ms`,
    });
  });
});
