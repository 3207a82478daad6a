/** The errors of wrong calls use the caller's words: what is wanted, what was given, and what to write instead. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import {
  AllowParents,
  Blob,
  CallChain,
  Channel,
  CommandError,
  Context,
  checkOptions,
  FileService,
  getLogger,
  hasParentAuthority,
  Invoker,
  isImmediateChild,
  isMain,
  Message,
  noReply,
  Pool,
  PushFileService,
  Receiver,
  Router,
  resource,
  Secret,
  Select,
  Sender,
  Service,
  takesEcontext,
  takesRouter,
} from "../../src/index.ts";
import { pid } from "../fixtures/remote/functions.ts";
import { collectLogs } from "../support/collect-logs.ts";
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
  const foreign = () => new Router().myself();

  const object = "the options must be an object";
  const cases: [title: string, misuse: () => unknown, message: string | (() => string)][] = [
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
      "a Channel without options",
      () => new (Channel as Loose)(router),
      "Cannot make a channel: the options must be an object, got undefined",
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
      "a logger without a name",
      () => (getLogger as Loose)(),
      "Cannot get a logger: the name must be a string, got undefined",
    ],
    [
      "a send with a list",
      () => (new Receiver(router).toSender() as Loose).send(1, [5]),
      `Cannot send: ${object}, got an array`,
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
      "contextById of a name",
      () => (router as Loose).contextById("x"),
      'Cannot find a context by its id: the id must be an integer from 0 to 4294967295, got "x"',
    ],
    [
      "delHandler of nothing",
      () => (router as Loose).delHandler(),
      "Cannot remove a handler: the handle must be an integer from 1 to 4294967295, got undefined",
    ],
    [
      "route of nothing",
      () => (router as Loose).route(),
      "Cannot route a message: the first argument must be a Message, got undefined",
    ],
    [
      "disconnect of nothing",
      () => (router as Loose).disconnect(),
      "Cannot disconnect a context: the first argument must be a Context, got undefined",
    ],
    [
      "a request to no handle",
      () => (context as Loose).request(),
      () =>
        `Cannot send a request to ${context.name}: the handle must be an integer from 1 to 4294967295, got undefined`,
    ],
    [
      "checkOptions of nothing",
      () => (checkOptions as Loose)(),
      "Cannot check options: the first argument, the method's name, must be a string with 1 or more characters, none of them NUL, got undefined",
    ],
    [
      "checkOptions without names",
      () => (checkOptions as Loose)("chroot", {}),
      "Cannot connect with chroot(): the names of the options must be a list of strings without NUL, got undefined",
    ],
    [
      "checkOptions of a name",
      () => (checkOptions as Loose)("chroot", "x", []),
      `Cannot connect with chroot(): ${object}, got "x"`,
    ],
    [
      "hasParentAuthority of nothing",
      () => (hasParentAuthority as Loose)(),
      "Cannot apply a policy: the first argument must be a Message, got undefined",
    ],
    [
      "isImmediateChild of an object",
      () => (isImmediateChild as Loose)({}),
      "Cannot apply a policy: the first argument must be a Message, got an object",
    ],
    [
      "AllowParents of nothing",
      () => (AllowParents as Loose)(),
      "Cannot apply a policy: the first argument must be a Message, got undefined",
    ],
    [
      "FileService.get of nothing",
      () => (FileService as Loose).get(),
      "Cannot transfer a file: the context must be a Context, got undefined",
    ],
    [
      "FileService.get of no path",
      () => (FileService as Loose).get(context, 5, "/nowhere"),
      () =>
        `Cannot transfer a file of ${context.name}: its path must be a string with 1 or more characters, none of them NUL, got 5`,
    ],
    [
      "a pool's defer of nothing",
      () => (new Pool(new Router()) as Loose).defer(),
      "Cannot run a function in the pool: the first argument must be a function, got undefined",
    ],
    [
      "disconnect of another router's context",
      () => router.disconnect(foreign()),
      'Cannot disconnect a context: the first argument must be a Context of this Router, got "self" of another Router',
    ],
    [
      "a connect via another router's context",
      () => router.local({ via: foreign() }),
      'Cannot connect with local(): via must be a Context of this Router, got "self" of another Router',
    ],
    [
      "a Receiver for another router's context",
      () => new Receiver(router, { respondent: foreign() }),
      'Cannot make a receiver: respondent must be a Context of this Router, got "self" of another Router',
    ],
    [
      "a Channel to another router's context",
      () => new Channel(router, { context: foreign(), dstHandle: 2000 }),
      'Cannot make a channel: context must be a Context of this Router, got "self" of another Router',
    ],
    [
      "a handler for another router's context",
      () => router.addHandler(() => undefined, { respondent: foreign() }),
      'Cannot add a handler: respondent must be a Context of this Router, got "self" of another Router',
    ],
    [
      "pushing a file to another router's context",
      () => new PushFileService(router).propagateTo(foreign(), "/f", "text"),
      'Cannot push a file: the context must be a Context of this Router, got "self" of another Router',
    ],
    ["exposing nothing", () => (noReply() as Loose)(), "Cannot expose undefined: it is not a method"],
    [
      "PushFileService.get of nothing",
      () => (new PushFileService(router) as Loose).get(),
      "Cannot get a file: the path must be a string with 1 or more characters, none of them NUL, got undefined",
    ],
    [
      "propagateTo nothing",
      () => (new PushFileService(router) as Loose).propagateTo(),
      "Cannot push a file: the context must be a Context, got undefined",
    ],
    [
      "modules.forward() without a context",
      () => (router.modules as Loose).forward({}, import.meta.url),
      "Cannot forward modules: the context must be a Context, got an object",
    ],
    [
      "a CallChain of nothing",
      () => new (CallChain as Loose)(),
      "Cannot make a chain: the first argument must be a Context, got undefined",
    ],
    [
      "a Service of nothing",
      () => new (Service as Loose)(),
      "Cannot make a service: the router must be a Router, got undefined",
    ],
    [
      "a Pool of a number",
      () => new (Pool as Loose)(router, 5),
      "Cannot make a pool: the services must be a list of Services, got 5",
    ],
    [
      "a Pool of strangers",
      () => new (Pool as Loose)(router, [5]),
      "Cannot add a service: the first argument must be a Service, got 5",
    ],
    [
      "invoke nothing",
      () => (new Invoker() as Loose).invoke(),
      "Cannot invoke: the call must be a ServiceCall of a Pool, got undefined",
    ],
    [
      "a CommandError of nothing",
      () => new (CommandError as Loose)(),
      "Cannot make a CommandError: the first argument, the command, must be a string, got undefined",
    ],
    [
      "a resource of nothing",
      () => (resource as Loose)(),
      "Cannot read a resource: the first argument must be import.meta or module, got undefined",
    ],
    [
      "isMain of nothing",
      () => (isMain as Loose)(),
      "Cannot tell whether this is the program's entry script: isMain() takes import.meta, or module, got undefined",
    ],
  ];
  for (const [title, misuse, message] of cases) {
    it(`${title} is reported in the caller's words`, async () => {
      await assert.rejects(async () => await misuse(), {
        name: "TypeError",
        code: "ERR_INVALID_ARG_TYPE",
        message: typeof message === "string" ? message : message(),
      });
    });
  }

  it("a Message, a Blob and a Secret refuse wrong arguments", () => {
    const to = (...given: unknown[]) => (Message as Loose).to(router, ...given);
    const wrong: [make: () => unknown, message: string][] = [
      [() => to(), "Cannot make a message: dstId must be an integer from 0 to 4294967295, got undefined"],
      [
        () => to({ dstId: 0, handle: "logs" }, { value: 1 }),
        'Cannot make a message: handle must be an integer from 1 to 4294967295, got "logs"',
      ],
      ...[undefined, {}, { raw: "text" }].map((content): [() => unknown, string] => [
        () => to({ dstId: 0, handle: 5 }, content),
        "Cannot make a message: its content must be { value } or { raw } with a Uint8Array",
      ]),
      ...[undefined, null, {}, true].map((source): [() => unknown, string] => [
        () => new (Blob as Loose)(source),
        `Cannot make a Blob: it is made of text, bytes or a length, got ${typeof source}`,
      ]),
      [() => new (Secret as Loose)(5), "Cannot make a Secret: its text must be a string"],
    ];
    for (const [make, message] of wrong) assert.throws(make, { name: "TypeError", message });
    for (const [field, value] of [
      ["dstId", -1],
      ["dstId", 1.5],
      ["handle", 0],
      ["handle", 2 ** 32],
      ["replyTo", Number.NaN],
    ] as const) {
      assert.throws(() => to({ dstId: 0, handle: 5, [field]: value }, { value: 1 }), {
        name: "RangeError",
        code: "ERR_OUT_OF_RANGE",
        message: `Cannot make a message: ${field} must be an integer from ${field === "handle" ? 1 : 0} to 4294967295, got ${value}`,
      });
    }
    assert.deepEqual(
      [...new Blob([1, 2]), ...new Blob(new Set([3]) as never), new Blob(2).length],
      [1, 2, 3, 2],
    );
  });

  it("a Sender and a Context cannot be constructed, and the error says where to get one", () => {
    assert.throws(() => new (Sender as Loose)(), {
      name: "TypeError",
      message: "Cannot make Sender, got undefined; use toSender()",
    });
    assert.throws(() => new (Context as Loose)(router, "web1"), {
      name: "TypeError",
      message: "Cannot make Context, got web1; use contextById()",
    });
  });

  it("a callNoReply to a lost context is logged as ERROR, also with bounds, but the end of a chain is not", async () => {
    const past = await router.local();
    const chain = past.chain();
    chain.callNoReply(pid);
    await past.shutdown();
    const logs = collectLogs("error");
    try {
      past.callNoReply(pid);
      past.with({ timeoutMs: 1000 }).callNoReply(pid);
      assert.deepEqual(
        logs.records.map(({ message }) =>
          message.replace(/ of \S+ in /, " in ").replace(/ChannelError: .*/, "…"),
        ),
        [`Call of pid in ${past.name} failed: …`, `Call of pid in ${past.name} failed: …`],
      );
      await chain[Symbol.asyncDispose]();
      assert.equal(logs.records.length, 2);
    } finally {
      logs.stop();
    }
  });

  it("a ping that times out names the context, and no internal number", async () => {
    await assert.rejects(context.ping({ timeoutMs: 0 }), {
      code: "ERR_TIMEOUT",
      message: `Cannot reach ${context.name}: no answer within 0 ms`,
    });
  });
});
