/** A service in one file. It runs in this program, and contexts on any machine can call it. */

import {
  AllowAny,
  type Exposed,
  econtext,
  type Message,
  Pool,
  type Router,
  runWithRouter,
  Service,
} from "mitogen";

/** Gives out numbers, each only once, for contexts that must not use the same number. */
export class Tickets extends Service {
  /** The methods that other contexts may call, with their arguments. Decorators can say the same. */
  static override exposed: Record<string, Exposed> = {
    take: { allow: AllowAny, args: { purpose: "string" } },
  };
  #last = 0;
  readonly #owners: string[] = [];

  take({ purpose }: { purpose: string }, message: Message): number {
    // The purpose is the context's claim. message.context is certain, because every hop checks the sender of a frame.
    this.#last += 1;
    this.#owners.push(`${this.#last}: ${purpose}, for ${message.context.name}`);
    return this.#last;
  }

  /** Not exposed, so no context can call it. */
  get owners(): readonly string[] {
    return this.#owners;
  }
}

/** Runs in a context and asks the program for a ticket. */
export async function workWithTicket(purpose: string): Promise<string> {
  const master = econtext().router.contextById(0);
  const ticket = await master.callService(Tickets, "take", { purpose });
  return `${purpose} with ticket ${ticket}`;
}

async function main(router: Router): Promise<void> {
  const tickets = new Tickets(router);
  new Pool(router, [tickets]);
  const one = await router.local({ remoteName: "one" });
  const two = await router.local({ remoteName: "two", via: one });
  console.log(await one.call(workWithTicket, "backup"));
  console.log(await two.call(workWithTicket, "restart"));
  console.log(tickets.owners.join("\n"));
}

await runWithRouter(main);
