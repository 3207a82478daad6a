/** What the compiler must accept and refuse: an unused `@ts-expect-error` fails the build. */
import fs, { type BigIntStats, type Dirent, promises, type Stats } from "node:fs";
import os, { type UserInfo } from "node:os";
import { test } from "node:test";
import {
  type Callable,
  Channel,
  type Context,
  currentCall,
  type FileData,
  type FunctionRef,
  type Message,
  type ModuleHandle,
  type Receiver,
  type Router,
  ref,
  resource,
  runWithRouter,
  Select,
  type Sender,
  withRouter,
} from "../../src/index.ts";

type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
/** Compiles only if the type of the argument is exactly `Expected`. */
function is<Expected>() {
  return <Given>(_given: Given, ..._proof: Equal<Given, Expected> extends true ? [] : [never]): void =>
    undefined;
}

function noArguments() {
  return 123;
}
function nothing(): void {}
async function later(name: string): Promise<{ name: string; size: number }> {
  return { name, size: name.length };
}
function optional(a: number, b = "b", ...rest: boolean[]): string {
  return `${a}${b}${rest}`;
}
function two(a: string): number;
function two(a: number, b: boolean): string;
function two(a: string | number, b?: boolean): string | number {
  return b === undefined ? Number(a) : String(a);
}
function union(a: string | null): string | Promise<number> {
  return a ?? Promise.resolve(1);
}
// biome-ignore lint/complexity/noStaticOnlyClass: what some callers have
class Tasks {
  static backup(path: string): string[] {
    return [path];
  }
}

// Never called: only the compiler looks at it.
async function calls(context: Context): Promise<void> {
  is<number>()(await context.call(noArguments));
  is<void>()(await context.call(nothing));
  is<{ name: string; size: number }>()(await context.call(later, "x"));
  is<string>()(await context.call(optional, 1));
  is<string>()(await context.call(optional, 1, "b", true, false));
  is<string | number>()(await context.call(union, null));
  is<string[]>()(await context.call(Tasks.backup, "/srv"));

  // @ts-expect-error: an argument is missing
  void context.call(later);
  // @ts-expect-error: an argument is of another type
  void context.call(later, 1);
  // @ts-expect-error: one argument too many
  void context.call(noArguments, 1);
  // @ts-expect-error: the rest is of another type
  void context.call(optional, 1, "b", "c");
  // @ts-expect-error: not a function
  void context.call("later", "x");
  // @ts-expect-error: the result is no string
  (await context.call(noArguments)) satisfies string;
}

async function builtins(context: Context): Promise<void> {
  is<string>()(await context.call(os.hostname));
  is<number>()(await context.call(Date.now));
  is<void>()(await context.call(process.chdir, "/"));
  is<boolean>()(await context.call(fs.existsSync, "/etc"));
  // @ts-expect-error: a directory is missing
  void context.call(process.chdir);
}

async function overloads(context: Context): Promise<void> {
  (await context.call(promises.readFile, "/etc/hostname")) satisfies Buffer;
  is<string>()(await context.call(fs.promises.readFile, "/etc/hostname", "utf8"));
  is<string[]>()(await context.call(promises.readdir, "/etc"));
  is<FileData<Dirent>[]>()(await context.call(promises.readdir, "/etc", { withFileTypes: true }));
  is<FileData<Stats>>()(await context.call(promises.stat, "/etc"));
  is<FileData<BigIntStats>>()(await context.call(promises.stat, "/etc", { bigint: true }));
  is<UserInfo<string>>()(await context.call(os.userInfo));
  is<string>()(await context.call(JSON.stringify, { a: 1 }, ["a"]));
  is<number>()(await context.call(two, "x"));
  is<string>()(await context.call(two, 1, true));
  is<string[]>()(await context.with({ timeoutMs: 1 }).call(promises.readdir, "/etc"));
  is<Receiver<string[]>>()(context.callAsync(promises.readdir, "/etc"));
  is<void>()(context.callNoReply(promises.mkdir, "/srv/app", { recursive: true }));
  await using chain = context.chain();
  is<string[]>()(await chain.call(promises.readdir, "/etc"));

  // @ts-expect-error: none of them takes a number alone
  void context.call(two, 1);
  // @ts-expect-error: none of them takes nothing
  context.callNoReply(two);
  // @ts-expect-error: the result for these is a number
  (await context.call(two, "x")) satisfies string;
}

/** The form of a Stats or a Dirent in a result has the results of its methods. */
async function files(context: Context): Promise<void> {
  const stats = await context.call(promises.stat, "/etc");
  is<boolean>()(stats.isDirectory);
  is<number>()(stats.size);
  is<Date>()(stats.mtime);
  is<bigint>()((await context.with({}).call(promises.stat, "/etc", { bigint: true })).mtimeNs);
  const [entry] = (await context.callAsync(promises.readdir, "/", { withFileTypes: true }).get()).decode();
  is<boolean | undefined>()(entry?.isFile);
  is<string | undefined>()(entry?.name);
  for await (const each of context.stream(promises.opendir, "/etc")) is<boolean>()(each.isSymbolicLink);
  const own = async (): Promise<[Stats, Dirent | undefined]> => [await promises.stat("/"), undefined];
  is<[Stats, Dirent | undefined]>()(await context.call(own));
  const both = async (): Promise<Stats | undefined> => undefined;
  is<FileData<Stats> | undefined>()(await context.call(both));
  // @ts-expect-error: it is a value here, not a method
  stats.isFile();
}

/** A context that is connected again has the same calls. */
async function kept(router: Router): Promise<void> {
  const web = router.keep(() => router.local(), { retries: 1 });
  is<{ name: string; size: number }>()(await web.call(later, "x"));
  is<FileData<Stats>>()(await web.with({ repeat: true, timeoutMs: 1 }).call(promises.stat, "/etc"));
  is<Context | undefined>()(web.context);
  // @ts-expect-error: an argument is of another type
  void web.call(later, 1);
}

/** Functions that make calls for others keep the types that they get. */
async function wrappers(context: Context): Promise<void> {
  const passOn = <A extends readonly unknown[], R>(fn: Callable<A, R>, ...args: A): Promise<Awaited<R>> =>
    context.call(fn, ...args);
  is<{ name: string; size: number }>()(await passOn(later, "x"));
  const retry = <A extends unknown[], R>(fn: (...args: A) => R, ...args: A): Promise<Awaited<R>> =>
    context.call(fn, ...args);
  is<string>()(await retry(optional, 1));
  const run = <R>(fn: () => Promise<R>): Promise<R> => context.call(fn) as Promise<R>;
  is<number>()(await run(async () => 1));
  // biome-ignore lint/suspicious/noExplicitAny: a function of a module without types
  is<any>()(await context.call(noArguments as any, 1));
  is<unknown>()(await context.call(<T>(value: T) => value, 1));
  is<number[]>()(
    await context.call((list: number[], kind: "a" | "b") => [list.length, kind.length], [1], "a"),
  );
}

async function receivers(context: Context): Promise<void> {
  const receiver = context.callAsync(later, "x");
  is<Receiver<{ name: string; size: number }>>()(receiver);
  const message = await receiver.get({ timeoutMs: 5 });
  is<Message<{ name: string; size: number }>>()(message);
  is<{ name: string; size: number }>()(message.decode());
  for await (const each of receiver) is<number>()(each.decode().size);
  const sender = receiver.toSender();
  is<Sender<{ name: string; size: number }>>()(sender);
  await sender.send({ name: "x", size: 1 });
  // @ts-expect-error: a message of another type
  await sender.send("x");
  is<void>()(context.callNoReply(later, "x"));
  // @ts-expect-error: an argument is of another type
  context.callNoReply(later, 1);
}

async function chains(context: Context): Promise<void> {
  await using chain = context.chain();
  is<{ name: string; size: number }>()(await chain.call(later, "x"));
  is<Receiver<number>>()(chain.callAsync(noArguments));
  is<void>()(chain.callNoReply(nothing));
  is<number>()(await chain.with({ timeoutMs: 1 }).call(noArguments));
  // @ts-expect-error: an argument is of another type
  void chain.call(later, 1);
}

async function selects(context: Context, router: Router): Promise<void> {
  const calls = [context.callAsync(noArguments), context.callAsync(noArguments)];
  is<number[]>()(await Select.all(calls));
  const select = new Select([new Select(calls), new Channel<number>(router, { context, dstHandle: 1 })]);
  is<Message<number>>()(await select.get({ timeoutMs: 1, throwDead: false }));
  is<Message<number>>()((await select.getEvent()).data);
  for await (const message of select) is<number>()(message.decode());
  for await (const { data } of select.iterEvents()) is<number>()(data.decode());
  // @ts-expect-error: of another type
  select.add(context.callAsync(later, "x"));
  is<AbortSignal>()(currentCall().signal);
  is<Context>()(currentCall().source);
}

async function bounds(context: Context): Promise<void> {
  const bounded = context.with({ timeoutMs: 1, signal: AbortSignal.timeout(1) });
  is<{ name: string; size: number }>()(await bounded.call(later, "x"));
  is<Receiver<number>>()(bounded.callAsync(noArguments));
  is<void>()(bounded.callNoReply(nothing));
  // @ts-expect-error: an argument is of another type
  void bounded.call(later, 1);
  // @ts-expect-error: not a bound
  void context.with({ timeout: 1 });
}

async function references(context: Context): Promise<void> {
  const named = ref<typeof later>(new URL("./tasks.ts", import.meta.url), "later");
  is<FunctionRef<[name: string], Promise<{ name: string; size: number }>>>()(named);
  is<{ name: string; size: number }>()(await context.call(named, "x"));
  // @ts-expect-error: an argument is of another type
  void context.call(named, 1);
  // Without a type, any arguments are accepted, and the result is unknown.
  is<unknown>()(await context.call(ref("node:os", "hostname"), 1, "two"));
  named satisfies Callable<[string], unknown>;
}

const source = {
  NAME: "constant",
  later,
  optional,
  union,
  noArguments,
  Tasks,
  echo: <T>(value: T): T => value,
  tagged: Object.assign((n: number) => n, { inner: async () => "x" }),
  default: nothing,
  // biome-ignore lint/suspicious/noThenProperty: what a module may export
  then: (resolve: (value: number) => void) => resolve(1),
};

async function moduleHandles(context: Context): Promise<void> {
  const module = await context.import<typeof source>(new URL("./source.ts", import.meta.url));
  is<ModuleHandle<typeof source>>()(module);
  is<{ name: string; size: number }>()(await module.later("x"));
  is<Promise<string>>()(module.optional(1, "b", true));
  is<string | number>()(await module.union(null));
  is<Promise<number>>()(module.noArguments());
  is<string[]>()(await module.Tasks.backup("/srv"));
  is<void>()(await module.default());
  is<unknown>()(await module.echo(1));
  is<number>()(await module.tagged(1));
  is<string>()(await module.tagged.inner());
  is<string[]>()(await module.with({ timeoutMs: 1 }).Tasks.backup("/srv"));
  // @ts-expect-error: an argument is missing
  void module.later();
  // @ts-expect-error: of another type
  void module.Tasks.backup(1);
  // @ts-expect-error: a typo
  void module.latre;
  // @ts-expect-error: constants stay where they are
  void module.NAME;
  // @ts-expect-error: it is no promise
  void module.then;
  // @ts-expect-error: classes are not constructed in a context
  void new module.Tasks();
  // @ts-expect-error: not a bound
  void module.with({ timeout: 1 });
  // Without a type, any function can be called, and the result is unknown.
  const loose = await context.import("file:///srv/tasks.js", { timeoutMs: 1 });
  is<unknown>()(await loose.backup?.("/srv", 1));
  const declared = await context.import<typeof import("../fixtures/remote/handle.ts")>("file:///x.ts");
  is<Promise<number>>()(declared.add(1));
  is<string>()(await declared.Tasks.Deep.down());
  is<string>()(await declared.default());
}

async function resources(): Promise<void> {
  is<Buffer>()(await resource(import.meta, "./x"));
  is<string>()(await resource({ filename: "/srv/x.cjs" }, "./x", { encoding: "utf8" }));
  // @ts-expect-error: not a module
  void resource({}, "./x");
  // @ts-expect-error: not an encoding
  void resource(import.meta, "./x", { encoding: "utf-9" });
}

async function programs(): Promise<void> {
  const main = async (_router: Router, name: string) => name.length;
  is<number>()(await runWithRouter(main, "x"));
  is<Promise<number>>()(withRouter(main)("x"));
  // @ts-expect-error: main's argument is missing
  void runWithRouter(main);
  // @ts-expect-error: of another type
  void withRouter(main)(1);
}

test("Context.call infers arguments and awaited results from the function", () => {
  // The test passes if this file compiles.
  for (const proof of [
    calls,
    overloads,
    wrappers,
    builtins,
    receivers,
    chains,
    selects,
    bounds,
    references,
    moduleHandles,
    resources,
    files,
    kept,
    programs,
  ])
    void proof;
});
