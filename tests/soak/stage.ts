import {
  AllowAny,
  type Context,
  expose,
  Pool,
  Receiver,
  type Router,
  type Sender,
  Service,
} from "../../src/index.ts";
import { openSink } from "../fixtures/remote/upwards.ts";

/** A program and a context that do repeated work, and what some kinds need besides. */
export class Stage {
  readonly router: Router;
  readonly context: Context;
  readonly folder: string;
  /** A handle that replies with the value of each message. */
  readonly handle: number;
  /** The name of a service of the program. */
  readonly service: string = Echo.serviceName;
  #below: Promise<Context> | undefined;
  #sink: Promise<Sender<number>> | undefined;
  #inbox: Sender<number> | undefined;

  constructor(router: Router, context: Context, folder: string) {
    this.router = router;
    this.context = context;
    this.folder = folder;
    this.handle = router.addHandler((message) => message.reply(message.decode()));
    new Pool(router, [new Echo(router)]);
  }

  /** A context below the other. */
  below(): Promise<Context> {
    this.#below ??= this.router.local({ via: this.context });
    return this.#below;
  }

  /** A Sender of a reader in the context. */
  sink(): Promise<Sender<number>> {
    this.#sink ??= this.context.call(openSink);
    return this.#sink;
  }

  /** A Sender of a reader in the program. */
  inbox(): Sender<number> {
    if (this.#inbox === undefined) {
      const receiver = new Receiver<number>(this.router);
      void readAll(receiver);
      this.#inbox = receiver.toSender();
    }
    return this.#inbox;
  }
}

class Echo extends Service {
  static override serviceName = "echo";

  echo({ n }: { n: number }): number {
    return n;
  }
}
expose(AllowAny)(Echo.prototype, "echo");

async function readAll(receiver: Receiver<number>): Promise<void> {
  for await (const message of receiver) message.decode();
}
