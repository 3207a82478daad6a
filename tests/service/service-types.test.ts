/** What the compiler must accept and refuse of services: an unused `@ts-expect-error` fails the build. */
import { test } from "node:test";
import {
  type Context,
  type Message,
  type NO_REPLY,
  type Receiver,
  type Router,
  Service,
  type ServiceMethod,
} from "../../src/index.ts";

type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
/** Compiles only if `Expected` is exactly what was given. */
function is<Expected>() {
  return <Given>(_given: Given, ..._proof: Equal<Given, Expected> extends true ? [] : [never]): void =>
    undefined;
}

class Inventory extends Service {
  static override serviceName = "inventory";
  readonly size: number = 0;

  constructor(router: Router) {
    super(router);
  }
  ping(): string {
    return "pong";
  }
  async list(_args: { kind: string; limit?: number }, _message: Message): Promise<string[]> {
    return [];
  }
  count(_args?: { kind: string }): number {
    return 0;
  }
  all(_args: { limit?: number }): number {
    return 0;
  }
  later(): string | typeof NO_REPLY {
    return "";
  }
  whoAsks(_args: unknown, message: Message): number {
    return message.srcId;
  }
  protected inside(): void {}
}

// Never called: only the compiler looks at it.
async function calls(context: Context): Promise<void> {
  is<"ping" | "list" | "count" | "all" | "later" | "whoAsks">()("" as ServiceMethod<typeof Inventory>);
  is<string>()(await context.callService(Inventory, "ping"));
  is<string[]>()(await context.callService(Inventory, "list", { kind: "disk" }));
  is<number>()(await context.callService(Inventory, "count"));
  is<number>()(await context.callService(Inventory, "count", { kind: "disk" }));
  is<number>()(await context.callService(Inventory, "all"));
  is<string>()(await context.callService(Inventory, "later"));
  is<number>()(await context.callService(Inventory, "whoAsks"));
  is<unknown>()(await context.callService("inventory", "anything", { at: "all" }));
  is<Receiver<string[]>>()(context.callServiceAsync(Inventory, "list", { kind: "disk" }));
  is<Receiver<unknown>>()(context.callServiceAsync("inventory", "list"));

  const inventory = context.service(Inventory);
  is<string[]>()(await inventory.list({ kind: "disk", limit: 3 }));
  is<string>()(await inventory.ping());
  is<string[]>()(await context.with({ timeoutMs: 5 }).service(Inventory).list({ kind: "disk" }));
  is<string>()(await context.with({ timeoutMs: 5 }).callService(Inventory, "ping"));

  // @ts-expect-error: the arguments are missing
  void context.callService(Inventory, "list");
  // @ts-expect-error: an argument is of another type
  void context.callService(Inventory, "list", { kind: 1 });
  // @ts-expect-error: a method without arguments
  void context.callService(Inventory, "ping", { kind: 1 });
  // @ts-expect-error: no such method
  void context.callService(Inventory, "pong");
  // @ts-expect-error: callers cannot call the members that every service has
  void context.callService(Inventory, "onShutdown");
  // @ts-expect-error: a property
  void context.callService(Inventory, "size");
  // @ts-expect-error: protected
  void inventory.inside();
  // @ts-expect-error: no service
  void context.callService(Date, "getTime");
}

test("Context.callService and Context.service infer methods, arguments and values from the class", () => {
  // The test passes if this file compiles.
  void calls;
});
