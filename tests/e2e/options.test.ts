import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import {
  Broker,
  Channel,
  type Context,
  connect,
  FileService,
  getFile,
  listen,
  logToFile,
  onLog,
  Pool,
  PushFileService,
  putFile,
  Receiver,
  Router,
  runSsh,
  Select,
} from "../../src/index.ts";
import { Handle } from "../../src/wire/handles.ts";
import { connectWith } from "../fixtures/remote/connect-with.ts";
import { type Accepts, accepts, badValues, canTravel, oneOf } from "../support/bad-options.ts";
import { sampleOf } from "../support/extent.ts";
import { checkLeaks, commandOf, descendants, isReaper } from "../support/leak-check.ts";

checkLeaks();

const { command, count, duration, flag, limit, never, password, seconds, target, text, texts } = accepts;

/** The options of a method, and which values each accepts. `needs` are further options that are required. */
interface Table {
  readonly needs?: object;
  readonly options: Readonly<Record<string, Accepts>>;
}

const common = {
  name: accepts.contextName,
  remoteName: accepts.processName,
  nodePath: accepts.nodePath,
  timeoutMs: duration,
  via: never,
  unidirectional: flag,
  debug: flag,
};
const become = { username: target, password, passwordPrompt: text, incorrectPrompts: texts };
const container = { container: "c" };
const methods: Readonly<Record<string, Table>> = {
  local: { options: {} },
  thread: { options: { name: accepts.contextName, via: never, unidirectional: flag, debug: flag } },
  ssh: {
    needs: { hostname: "h" },
    options: {
      hostname: target,
      username: target,
      port: accepts.port,
      password,
      sshPath: text,
      sshArgs: texts,
      checkHostKeys: oneOf("enforce", "accept", "ignore"),
      identityFile: text,
      identitiesOnly: flag,
      compression: flag,
      keepalive: (value) => flag(value) || isEmpty(value),
      keepaliveEnabled: flag,
      keepaliveCount: count,
      keepaliveIntervalSeconds: seconds,
      keepaliveInterval: seconds,
      sshDebugLevel: oneOf(0, 1, 2, 3),
    },
  },
  sudo: {
    options: {
      username: target,
      password,
      sudoPath: text,
      preserveEnv: flag,
      setHome: flag,
      login: flag,
      selinuxRole: target,
      selinuxType: target,
      sudoArgs: texts,
    },
  },
  su: { options: { ...become, suPath: text } },
  doas: { options: { ...become, doasPath: text } },
  docker: {
    needs: container,
    options: { container: target, image: never, username: target, dockerPath: text },
  },
  podman: {
    needs: container,
    options: { container: target, image: never, username: target, podmanPath: text },
  },
  buildah: { needs: container, options: { container: target, username: target, buildahPath: text } },
  kubectl: {
    needs: { pod: "p" },
    options: { pod: target, container: target, kubectlPath: text, kubectlArgs: texts },
  },
  lxc: { needs: container, options: { container: target, lxcAttachPath: text } },
  lxd: { needs: container, options: { container: target, lxcPath: text } },
  incus: { needs: container, options: { container: target, incusPath: text } },
  jail: { needs: container, options: { container: target, username: target, jexecPath: text } },
  setns: {
    needs: { ...container, kind: "docker" },
    options: {
      container: target,
      kind: oneOf("docker", "podman", "lxc", "lxd", "incus", "machinectl"),
      username: target,
      ...Object.fromEntries(
        ["docker", "podman", "lxc", "lxcInfo", "incus", "machinectl", "nsenter"].map((tool) => [
          `${tool}Path`,
          text,
        ]),
      ),
    },
  },
  exec: { needs: { command: ["true"] }, options: { command, shellCommand: flag } },
};

function isEmpty(value: unknown): boolean {
  try {
    return typeof value === "object" && value !== null && Object.keys(value).length === 0;
  } catch {
    return false;
  }
}

interface Refusal {
  name: string;
  code: string;
  message: string;
}

/** Checks that `error` names the option, is short, and contains no secret. */
function checkRefusal(what: string, option: string, error: unknown): void {
  const { name, code, message } = error as Refusal;
  assert.match(
    String(code),
    /^ERR_(INVALID_ARG_TYPE|INVALID_ARG_VALUE|OUT_OF_RANGE)$/,
    `${what}: ${name}: ${message}`,
  );
  assert.equal(name, code === "ERR_OUT_OF_RANGE" ? "RangeError" : "TypeError", what);
  assert.ok(message.includes(option), `${what}: ${message}`);
  assert.ok(message.length < 500, `${what}: ${message}`);
  assert.doesNotMatch(message, /hunter2|[\0\n\x1b]/, what);
}

async function errorOf(run: () => unknown): Promise<unknown> {
  try {
    await run();
  } catch (error) {
    return error;
  }
  return assert.fail("it was taken");
}

describe("bad options of connection methods", () => {
  let router: Router;
  let hop: Context;
  let running: readonly number[];
  const surprises: unknown[] = [];
  const surprise = (error: unknown): void => void surprises.push(error);
  before(async () => {
    process.on("uncaughtException", surprise).on("unhandledRejection", surprise);
    router = new Router();
    hop = await router.local();
    // A context loads its code for connects with its first child.
    await (await router.local({ via: hop })).shutdown();
    running = contextsBelow();
  });
  after(async () => {
    process.off("uncaughtException", surprise).off("unhandledRejection", surprise);
    await router.shutdown();
  });

  /** Without reapers, which come and go. */
  const contextsBelow = (): number[] => descendants(process.pid).filter((pid) => !isReaper(pid));

  type Start = (options: object) => Promise<unknown>;
  for (const [method, { needs = {}, options }] of Object.entries(methods)) {
    it(`of ${method}() are refused here, through a hop, and by a hop that gets them unchecked`, async () => {
      const all: Record<string, Accepts> = method === "thread" ? options : { ...common, ...options };
      const start = (router as unknown as Record<string, Start>)[method] as Start;
      let tried = 0;
      for (const [option, isRight] of Object.entries(all)) {
        for (const [name, value] of sampleOf(3, badValues)) {
          if (isRight(value)) continue;
          tried += 1;
          const bad = { ...needs, [option]: value };
          const what = `${method}({ ${option}: ${name} })`;
          checkRefusal(what, option, await errorOf(() => start.call(router, bad)));
          if (option === "via") continue;
          checkRefusal(`${what} via`, option, await errorOf(() => start.call(router, { ...bad, via: hop })));
          if (!canTravel(value)) continue;
          // What the hop's broker thread answers if not this library asks.
          const identity = { contextId: 9999, remoteName: "x", logLevel: 0 };
          const answer = await hop.request(Handle.CONNECT_CHILD, [method, bad, identity, 0]);
          const [type, message, , code] = (answer as { failed: [string, string, unknown, string] }).failed;
          checkRefusal(`${what} unchecked`, option, { name: type, message, code });
        }
      }
      assert.ok(tried > 15, `${tried} were tried`);
      assert.deepEqual(surprises, []);
      const started = contextsBelow().filter((pid) => !running.includes(pid));
      assert.deepEqual(started.map(commandOf), [], "nothing was started");
      assert.ok((await hop.ping()) > 0);
    });
  }

  it("are refused by the router of a hop", async () => {
    const cases: [method: string, options: object, option: string][] = [
      ["doas", { doasPath: 5 }, "doasPath"],
      ["local", { timeoutMs: "5" }, "timeoutMs"],
      ["ssh", { hostname: "h", port: 1.5 }, "port"],
      ["local", { nodepath: "node" }, "nodepath"],
      ["exec", { command: "ls" }, "command"],
    ];
    for (const [method, options, option] of cases) {
      const error = JSON.parse(await hop.call(connectWith, method, options));
      checkRefusal(`${method} in a hop`, option, error);
    }
    const { message } = JSON.parse(await hop.call(connectWith, "doas", { doasPath: 5 }, true));
    assert.match(message, /doasPath cannot be sent.*a symbol/);
  });

  it("that cannot be read are refused", async () => {
    for (const options of [null, 5, "ssh", true, Symbol("no")]) {
      checkRefusal("local()", "options", await errorOf(() => router.local(options as never)));
    }
    const getter = {
      get name(): string {
        throw new Error("getter");
      },
    };
    checkRefusal("local()", "name", await errorOf(() => router.local(getter)));
    const { proxy, revoke } = Proxy.revocable({}, {});
    revoke();
    checkRefusal("local()", "options", await errorOf(() => router.local(proxy)));
  });

  it("cannot change between the check and their use", async () => {
    let reads = 0;
    const context = await router.local({
      get name() {
        reads += 1;
        return reads === 1 ? "right" : (5 as never);
      },
    });
    assert.deepEqual([context.name, reads], ["right", 1]);
    await context.shutdown();
  });

  it("do not include a timeout too large for a timer, which means no limit", async () => {
    for (const timeoutMs of sampleOf(2, [2 ** 31, 2 ** 53, Number.POSITIVE_INFINITY])) {
      for (const via of sampleOf(2, [hop, undefined]))
        await (await router.local({ timeoutMs, via })).shutdown();
      assert.equal(await hop.with({ timeoutMs }).call(process.cwd), process.cwd());
      assert.ok((await hop.ping({ timeoutMs })) > 0);
    }
  });

  it("include a method of one's own that is wrong or returns a wrong argv", async () => {
    const own = {
      name: "own",
      nodeCommand: [],
      contextName: () => "own",
      argv: (): string[] => ["true"],
    };
    for (const [name, value] of badValues) {
      if (command(value)) continue;
      const error = await errorOf(() => router.connect({ ...own, argv: () => value as never }, {}));
      checkRefusal(`argv() gives ${name}`, "argv", error);
      if (name !== "a path")
        checkRefusal(name, "method", await errorOf(() => router.connect(value as never, {})));
    }
    const dialogue = (): never => {
      throw new Error("it has a bug");
    };
    const error = (await errorOf(() => router.connect({ ...own, dialogue }, {}))) as Refusal;
    assert.deepEqual(
      [error.code, /the method failed: it has a bug/.test(error.message)],
      ["ERR_STREAM", true],
    );
    assert.deepEqual(surprises, []);
  });
});

describe("bad options of other functions", () => {
  let router: Router;
  let context: Context;
  before(async () => {
    router = new Router();
    context = await router.local();
  });
  after(() => router.shutdown());

  const isSignal: Accepts = never;
  const wait = { timeoutMs: duration, signal: isSignal };
  const receiver = {
    handle: accepts.handle,
    persist: flag,
    respondent: never,
    policy: accepts.callback,
    overwrite: flag,
  };
  const transfer = {
    ...wait,
    onProgress: accepts.callback,
    mode: isMode,
    owner: flag,
    times: flag,
    resume: flag,
  };
  const level = { level: never };
  const cases: [
    title: string,
    run: (options: never) => unknown,
    needs: object,
    options: Record<string, Accepts>,
  ][] = [
    [
      "new Router()",
      (options) => new Router(new Broker(), options),
      {},
      {
        maxMessageBytes: isMessageSize,
        unidirectional: flag,
        connectConcurrency: limit,
        keepaliveMs: accepts.interval,
      },
    ],
    [
      "Router.addHandler()",
      (options) => router.addHandler(() => undefined, options),
      {},
      { ...receiver, service: flag },
    ],
    ["new Receiver()", (options) => new Receiver(router, options), {}, receiver],
    [
      "new Channel()",
      (options) => new Channel(router, options),
      {},
      { ...receiver, context: never, dstHandle: accepts.handle },
    ],
    ["Receiver.get()", (options) => new Receiver(router).get(options), {}, { ...wait, throwDead: flag }],
    ["Sender.send()", (options) => new Receiver(router).toSender().send(1, options), {}, wait],
    ["new Select()", (options) => new Select([], options), {}, { oneshot: flag }],
    ["Select.get()", (options) => new Select().get(options), {}, { ...wait, throwDead: flag }],
    ["Select.all()", (options) => Select.all([], options), {}, wait],
    ["Context.with()", (options) => context.with(options).call(process.cwd), {}, wait],
    ["Context.chain().with()", (options) => context.chain().with(options).call(process.cwd), {}, wait],
    ["Context.ping()", (options) => context.ping(options), {}, wait],
    ["Context.import()", (options) => context.import(import.meta.url, options), {}, wait],
    ["Context.shutdown()", (options) => context.shutdown(options), {}, { wait: flag }],
    [
      "getFile()",
      (options) => getFile(context, "/nowhere", "/nowhere", options),
      {},
      { ...transfer, end: flag },
    ],
    ["putFile()", (options) => putFile(context, "/nowhere", "/nowhere", options), {}, transfer],
    ["FileService.get()", (options) => FileService.get(context, "/nowhere", "/nowhere", options), {}, wait],
    ["PushFileService.get()", (options) => new PushFileService(router).get("/nowhere", options), {}, wait],
    ["new Pool()", (options) => new Pool(router, [], options), {}, { size: limit, overwrite: flag }],
    [
      "Pool.stop()",
      (options) => new Pool(router, [], { overwrite: true }).stop(options),
      {},
      { timeoutMs: duration },
    ],
    ["listen()", (options) => listen(router, options), {}, { path: accepts.anyText }],
    ["connect()", (options) => connect("/nowhere", options), {}, { timeoutMs: duration }],
    [
      "runSsh()",
      (options) => runSsh(context, ["true"], options),
      {},
      { ...wait, cwd: text, env: isEnvironment, stdio: oneOf("inherit", "ignore", "collect") },
    ],
    ["logToFile()", (options) => logToFile("/dev/null", options), {}, level],
    ["onLog()", (options) => onLog(() => undefined, options), {}, level],
  ];
  for (const [title, run, needs, options] of cases) {
    it(`of ${title} are refused`, async () => {
      for (const [option, isRight] of Object.entries(options)) {
        for (const [name, value] of badValues) {
          if (isRight(value)) continue;
          const error = await errorOf(() => run({ ...needs, [option]: value } as never));
          checkRefusal(`${title}, ${option}: ${name}`, option, error);
        }
      }
      checkRefusal(title, "nosuch", await errorOf(() => run({ ...needs, nosuch: 1 } as never)));
      checkRefusal(title, "options", await errorOf(() => run(null as never)));
    });
  }

  it("do not affect the context and the router", async () => {
    assert.equal(await context.call(process.cwd), process.cwd());
    assert.equal(router.getStats().contextCount, 1);
  });

  function isMode(value: unknown): boolean {
    return value === 0 || value === 5;
  }
  function isMessageSize(value: unknown): boolean {
    return value === 2 ** 31;
  }
  function isEnvironment(value: unknown): boolean {
    return isEmpty(value) && !Array.isArray(value);
  }
});

describe("an invalid password", () => {
  const none: [name: string, value: unknown][] = [
    ["a number", 5],
    ["undefined", undefined],
    ["null", null],
    ["an object", {}],
    ["bytes", Buffer.from("hunter2")],
    ["a line end", "hunter2\n"],
    ["a NUL", "hunter2\0"],
  ];
  for (const isVia of [false, true]) {
    it(`never reaches the prompt${isVia ? " of a tool behind a hop" : ""}`, async () => {
      await using router = new Router();
      const via = isVia ? await router.local() : undefined;
      const wrapper = makeSudo();
      for (const [name, value] of sampleOf(3, none)) {
        const error = (await errorOf(() =>
          router.sudo({ via, sudoPath: wrapper.path, password: () => value as never, timeoutMs: 20_000 }),
        )) as Refusal;
        assert.equal(error.code, "ERR_STREAM", name);
        assert.match(error.message, /the password was not given: .*must be a string or a Secret/, name);
        assert.doesNotMatch(error.message, /hunter2|typed:/, name);
      }
      wrapper.remove();
    });
  }
});

/** A sudo that asks for a password and prints what was typed. */
function makeSudo(): { path: string; remove(): void } {
  const folder = mkdtempSync(join(tmpdir(), "mitogen-sudo-"));
  const path = join(folder, "sudo");
  const script = 'printf "%s" "$3" >&2; read -r said; echo "typed: $said" >&2; exit 1';
  writeFileSync(path, `#!/bin/sh\n${script}\n`, { mode: 0o755 });
  return { path, remove: () => rmSync(folder, { recursive: true }) };
}
