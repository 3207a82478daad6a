import { createHash } from "node:crypto";
import { promises as fs } from "node:fs";
import { Context } from "../core/context.ts";
import type { CoreRouter } from "../core/router.ts";
import { ChannelError } from "../errors.ts";
import { instanceOf, text, WAIT_OPTIONS } from "../options/option-types.ts";
import { checkOwn, type OptionType, readOptions, takeOption } from "../options/options.ts";
import { onRouterEnd } from "../routing/router-end.ts";
import { AllowParents } from "../service/exposed.ts";
import { ofLibrary } from "../service/request.ts";
import { type Exposed, Service } from "../service/service.ts";
import { awaitWithin, type WaitOptions } from "../waiting/wait.ts";
import { fileFault } from "./ends/file-error.ts";

/** The files pushed to one context, shared by all objects of the service. */
interface Pushed {
  readonly files: Map<string, Buffer>;
  readonly waiting: Map<string, Set<(bytes: Buffer) => void>>;
  /** The hashes of the files sent to each neighbour below, by path. */
  readonly sent: WeakMap<Context, Map<string, string>>;
}

const CONTEXT = instanceOf(Context, "a Context");
const DATA: OptionType<Uint8Array | string> = {
  wanted: "a string or a Uint8Array",
  take(value, refuse) {
    if (typeof value !== "string" && !(value instanceof Uint8Array)) throw refuse("ERR_INVALID_ARG_TYPE");
    return value;
  },
};
const states = new WeakMap<CoreRouter, Pushed>();

/**
 * Pushes small files down the tree, over each link once, for functions to read. Every context on the way keeps them in
 * memory; for large files use `putFile`.
 *
 * ```ts
 * await new PushFileService(router).propagateTo(context, "/srv/app/settings.json");
 * // in a function that runs there
 * const bytes = await new PushFileService(econtext().router).get("/srv/app/settings.json");
 * ```
 */
export class PushFileService extends Service {
  /** @internal */
  static override serviceName = "mitogen.PushFileService";
  /** @internal */
  static override exposed: Readonly<Record<string, Exposed>> = {
    push: { allow: AllowParents, args: { path: "string", route: "array" } },
  };

  /**
   * Sends the file `path` to `context` and every context on the way. Resolves when all have it. The file is read when
   * it is first propagated; `data`, if given, replaces its content. Rejects with Node's error if the file cannot be
   * read, and otherwise like `callService`. Without bounds it waits as long as the contexts live.
   */
  async propagateTo(
    context: Context,
    path: string,
    data?: Uint8Array | string,
    options: WaitOptions = {},
  ): Promise<void> {
    const what = "push a file";
    takeOption(what, "the context", context, CONTEXT);
    checkOwn(what, "the context", context, this.router);
    takeOption(what, "the path", path, text);
    const bounds = readOptions(what, options, WAIT_OPTIONS);
    if (data !== undefined)
      this.keep(path, Buffer.from(takeOption(what, "the data", data, DATA) as Uint8Array));
    else if (!this.state.files.has(path)) this.keep(path, await fs.readFile(path));
    await this.forward(path, routeTo(context), bounds);
  }

  /**
   * Returns a copy of a file's bytes; waits until the file arrives. Rejects with a TimeoutError or the signal's reason, and
   * with a ChannelError when the router ends.
   */
  async get(path: string, given: WaitOptions = {}): Promise<Buffer> {
    takeOption("get a file", "the path", path, text);
    const options = readOptions(`get the file ${path}`, given, WAIT_OPTIONS);
    const { files, waiting } = this.state;
    const here = files.get(path);
    if (here !== undefined) return Buffer.from(here);
    const waiters = waiting.get(path) ?? new Set();
    waiting.set(path, waiters);
    let waiter: ((bytes: Buffer) => void) | undefined;
    let unwatch: (() => void) | undefined;
    return await awaitWithin<Buffer>(
      this.router.broker,
      options,
      () => `get the file ${path}, which has not been pushed`,
      (resolve, reject) => {
        waiter = (bytes) => resolve(Buffer.from(bytes));
        waiters.add(waiter);
        const ended = `Cannot get the file ${path}, which has not been pushed: the router was shut down`;
        unwatch = onRouterEnd(this.router, () => reject(new ChannelError(ended)));
      },
      () => {
        unwatch?.();
        if (waiter !== undefined) waiters.delete(waiter);
      },
    );
  }

  /** Called by the context above: takes a file, unless it is here already, and passes it on. @internal */
  async push({
    path,
    route,
    data,
  }: {
    path: string;
    route: readonly number[];
    data?: Uint8Array;
  }): Promise<void> {
    if (data !== undefined) this.keep(path, Buffer.from(data));
    await this.forward(path, route);
  }

  private get state(): Pushed {
    let state = states.get(this.router);
    if (state === undefined) {
      state = { files: new Map(), waiting: new Map(), sent: new WeakMap() };
      states.set(this.router, state);
    }
    return state;
  }

  private keep(path: string, bytes: Buffer): void {
    const { files, waiting } = this.state;
    files.set(path, bytes);
    for (const take of waiting.get(path) ?? []) take(bytes);
    waiting.delete(path);
  }

  private async forward(
    path: string,
    [next, ...route]: readonly number[],
    options: WaitOptions = {},
  ): Promise<void> {
    if (next === undefined || next === this.router.contextId) return;
    const data = this.state.files.get(path);
    if (data === undefined) {
      throw fileFault("ERR_FILE_REFUSED", `Cannot pass on ${path}: it did not arrive here`, path, "source");
    }
    const context = this.router.contextById(next);
    const sent = this.state.sent.get(context) ?? new Map<string, string>();
    this.state.sent.set(context, sent);
    const sha256 = createHash("sha256").update(data).digest("hex");
    // Recorded before it has arrived: messages sent after it arrive after it.
    const isThere = sent.get(path) === sha256;
    sent.set(path, sha256);
    try {
      const request = { path, route };
      const args = isThere ? request : { ...request, data };
      await context.with(options).callService(PushFileService, "push", args);
    } catch (error) {
      if (sent.get(path) === sha256) sent.delete(path);
      throw error;
    }
  }
}

ofLibrary(PushFileService, "PushFileService");

/** The contexts on the way to a context, and that context. */
function routeTo(context: Context): number[] {
  const route: number[] = [];
  for (let hop: Context | undefined = context; hop !== undefined; hop = hop.via) route.unshift(hop.contextId);
  return route;
}
