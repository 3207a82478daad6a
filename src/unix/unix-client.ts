import { connect as openSocket, type Socket } from "node:net";
import { fileURLToPath } from "node:url";
import { importModule } from "../calls/caller/module-handle.ts";
import { installFeatures } from "../calls/caller/router-features.ts";
import { isMain } from "../connection/run-with-router.ts";
import { callSite, placedAt } from "../core/call-site.ts";
import type { Context } from "../core/context.ts";
import { deadReason } from "../core/message.ts";
import { hasParentAuthority } from "../core/policy.ts";
import { CoreRouter, type Functions } from "../core/router.ts";
import { StreamError } from "../errors.ts";
import type { FunctionName } from "../functions/function-name.ts";
import { TracedLink } from "../links/traced-link.ts";
import { checkSocket, failureText, socketError } from "../links/unix-socket.ts";
import { nameClass, nameFunction } from "../loader/naming/name-function.ts";
import { duration, WAIT_OPTIONS } from "../options/option-types.ts";
import { type OptionTable, readOptions } from "../options/options.ts";
import { serviceCallsOf } from "../service/client.ts";
import { receivedStack } from "../text/received-stack.ts";
import { Broker } from "../waiting/broker.ts";
import { type WaitOptions, watchBounds } from "../waiting/wait.ts";
import { decodeValue } from "../wire/cbor/decoder.ts";
import { type Frame, joinBody } from "../wire/frame.ts";
import { Handle } from "../wire/handles.ts";
import { messageOf } from "../wire/values/thrown.ts";
import { formatHello } from "./unix-handshake.ts";

/** Options of {@link connect}. */
export interface UnixConnectOptions {
  /** How long the listener may take to answer, in milliseconds; 10,000 by default. */
  readonly timeoutMs?: number | undefined;
  /** Gives up when it aborts. `connect` then rejects with its reason. */
  readonly signal?: AbortSignal | undefined;
}

/** The result of {@link connect}. */
export interface UnixConnection {
  /** This program's router in the listener's tree. The caller ends the connection with its `shutdown`. */
  readonly router: ClientRouter;
  /** The listening program. */
  readonly context: Context;
}

/** The first frame of the listener. */
interface ClientConfig {
  readonly contextId: number;
  readonly parentIds: readonly number[];
  readonly maxMessageBytes: number;
  readonly unidirectional: boolean;
  readonly pid: number;
}

const DEFAULT_TIMEOUT_MS = 10_000;
const CONNECT_OPTIONS: OptionTable<UnixConnectOptions> = { timeoutMs: duration, signal: WAIT_OPTIONS.signal };
/** How long a listener, which may hang, may take to close a connection. */
const CLOSE_MS = 2000;

/**
 * The router of a program that has connected to another program. While the connection lasts, the program is a context
 * of the other one's tree. This router starts no contexts.
 */
export class ClientRouter extends CoreRouter {
  readonly #link: TracedLink;
  readonly #context: Context;

  /** @internal */
  constructor(link: TracedLink, config: ClientConfig) {
    super(new Broker(), config);
    this.#link = link;
    this.functions = localFunctions;
    installFeatures(this, serviceCallsOf);
    this.#context = this.contextById(config.parentIds[0] as number, `unix_listener.${config.pid}`);
    this.addHandler((message) => message.reply(null), { handle: Handle.PING, service: true });
    this.addHandler(() => void this.shutdown(), {
      handle: Handle.SHUTDOWN,
      policy: hasParentAuthority,
      service: true,
    });
    // [context id, reason]: a context behind the listener, to which this one has sent something, is gone.
    this.addHandler(
      (message) => {
        const [contextId, reason] = message.decode() as [number, string];
        this.delRoutes([contextId], reason);
      },
      { handle: Handle.DEL_ROUTE, policy: hasParentAuthority, service: true },
    );
    const disown = this.broker.own({ shutdown: () => this.close() });
    this.onParentLost = (reason) => {
      disown();
      this.tellLost(config.parentIds, reason);
      this.endHandlers(reason);
    };
    this.attach(link, config.parentIds[0] as number, "parent");
  }

  /** The listening program. @internal */
  get listener(): Context {
    return this.#context;
  }

  /** Ends the connection. Pending calls reject with a ChannelError. Idempotent, never rejects. */
  shutdown(): Promise<void> {
    return this.broker.shutdown();
  }

  /** The same as {@link shutdown}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.shutdown();
  }

  private async close(): Promise<void> {
    this.#link.close();
    const timer = setTimeout(() => {
      this.#link.abort(`${this.#context.name}: did not close the connection`);
    }, CLOSE_MS);
    // The listener has received everything when it closes its side.
    await this.#context.disconnected;
    clearTimeout(timer);
  }
}

/**
 * Connects to a program of this user that listens at `path`. `context.call(fn)` runs `fn` there: that program
 * imports the function's module from the same file, so the function cannot be in this program's entry script.
 * Rejects with a StreamError whose `cause` is Node's error (`cause.code` is `ENOENT`, `ECONNREFUSED`), and
 * with a TimeoutError, or with the reason of `signal`.
 *
 * ```ts
 * const { router, context } = await connect("/run/user/1000/deploy.sock");
 * console.log(await context.call(status));
 * await router.shutdown();
 * ```
 */
export async function connect(path: string, options: UnixConnectOptions = {}): Promise<UnixConnection> {
  const what = "connect to a listener";
  const { timeoutMs = DEFAULT_TIMEOUT_MS, signal } = readOptions(what, options, CONNECT_OPTIONS);
  const site = callSite(connect);
  let socket: Socket | undefined;
  try {
    checkSocket(path);
    socket = openSocket(path);
    const router = await shakeHands(socket, path, { timeoutMs, signal });
    // Only waits keep the program alive.
    socket.unref();
    return { router, context: router.listener };
  } catch (error) {
    socket?.destroy();
    if (signal?.aborted === true) throw signal.reason;
    throw placedAt(error, site());
  }
}

function shakeHands(socket: Socket, path: string, bounds: WaitOptions): Promise<ClientRouter> {
  return new Promise((resolve, reject) => {
    const stopTimer = watchBounds(bounds, () => `connect to ${path}`, reject);
    const fail = (reason: string, cause?: unknown): void => {
      stopTimer();
      reject(socketError(`Cannot connect to ${path}: ${reason}`, cause));
    };
    socket.on("error", (error) => fail(failureText(error), error));
    socket.once("connect", () => {
      // The first frame is small. Later frames are for the router, which knows the limit.
      const link = new TracedLink("listener", socket, socket, 0xffffffff);
      link.open({
        onFrame: (frame) => {
          try {
            resolve(routerOf(frame, link));
            stopTimer();
          } catch (error) {
            fail(messageOf(error), error);
          }
        },
        onClosed: (reason) => fail(`it was not let in: ${reason}`),
      });
      socket.write(formatHello(process.pid));
    });
  });
}

function routerOf(frame: Frame, link: TracedLink): ClientRouter {
  if (frame.replyTo === Handle.IS_DEAD) throw new StreamError(deadReason(frame));
  return new ClientRouter(link, decodeValue(joinBody(frame)) as ClientConfig);
}

/** Names functions for the listening program, which finds them in the same files. */
const localFunctions: Functions = {
  nameOf(fn, isClass): FunctionName {
    const name = isClass === true ? nameClass(fn) : nameFunction(fn);
    if (name.module.startsWith("file:") && isMain({ filename: fileURLToPath(name.module) })) {
      throw new TypeError(
        `Cannot call function '${fn.name}' in the listening program: it is in this program's entry script, which would run there; move it into a module of its own`,
      );
    }
    return name;
  },
  importModule,
  prepare: () => undefined,
  originalStack: receivedStack,
};
