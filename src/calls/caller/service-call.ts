import type { Context } from "../../core/context.ts";
import type { Receiver } from "../../core/receiver.ts";
import type { WaitOptions } from "../../waiting/wait.ts";

/** A subclass of `Service`, as the compiler sees it. */
export type ServiceClass = abstract new (
  router: never,
) => { name(): string; onShutdown(): void | Promise<void> };

/** The names of the methods that a service adds. */
export type ServiceMethod<S extends ServiceClass> = Exclude<
  {
    [K in keyof InstanceType<S>]: InstanceType<S>[K] extends (...args: never[]) => unknown ? K : never;
  }[keyof InstanceType<S>],
  "name" | "onShutdown" | symbol | number
>;

type MethodType<S extends ServiceClass, M extends ServiceMethod<S>> = InstanceType<S>[M] extends (
  ...args: infer A
) => infer R
  ? { parameters: A; result: R }
  : never;

/** The arguments of a method: its first parameter. It may be omitted if it may be undefined or requires no property. */
export type ServiceArguments<S extends ServiceClass, M extends ServiceMethod<S>> = MethodType<
  S,
  M
>["parameters"] extends readonly []
  ? []
  : MethodType<S, M>["parameters"] extends readonly [infer A, ...unknown[]]
    ? Record<never, never> extends A
      ? [args?: A]
      : [args: A]
    : MethodType<S, M>["parameters"] extends readonly [(infer A)?, ...unknown[]]
      ? [args?: A]
      : never;

/**
 * The result of a method. A method that replies by itself, or not at all, returns a symbol, which never
 * travels.
 */
export type ServiceValue<S extends ServiceClass, M extends ServiceMethod<S>> = Exclude<
  Awaited<MethodType<S, M>["result"]>,
  symbol
>;

/** The methods of a service, called as if the service were local. */
export type ServiceProxy<S extends ServiceClass> = {
  readonly [M in ServiceMethod<S>]: (...args: ServiceArguments<S, M>) => Promise<ServiceValue<S, M>>;
};

/** The ways to call services of one context. */
export interface ServiceCalls {
  /** Like `Context.callService`, within the bounds. */
  callService<S extends ServiceClass, M extends ServiceMethod<S>>(
    service: S,
    method: M,
    ...args: ServiceArguments<S, M>
  ): Promise<ServiceValue<S, M>>;
  callService(service: string, method: string, args?: object): Promise<unknown>;
  /** Like `Context.callServiceAsync`, within the bounds. */
  callServiceAsync<S extends ServiceClass, M extends ServiceMethod<S>>(
    service: S,
    method: M,
    ...args: ServiceArguments<S, M>
  ): Receiver<ServiceValue<S, M>>;
  callServiceAsync(service: string, method: string, args?: object): Receiver<unknown>;
  /** Like `Context.service`, within the bounds. */
  service<S extends ServiceClass>(service: S): ServiceProxy<S>;
}

/**
 * Makes the ways to call services. Implemented in src/service/client.ts, which does not travel with the
 * payload. Stacks begin above `caller`.
 */
export type ServiceClient = (
  context: Context,
  options: WaitOptions,
  caller?: (...args: never[]) => unknown,
) => ServiceCalls;
