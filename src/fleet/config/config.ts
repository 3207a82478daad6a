import type { Step, StepMethod, StepOptions } from "./host.ts";

/** The options of a method in an inventory, without `via`: the step before takes its place. */
type OptionsOf<M extends StepMethod> = M extends "ssh"
  ? Omit<StepOptions["ssh"], "via" | "hostname"> & {
      /**
       * A name, an address, or a `Host` of ssh_config(5). By default the host's own name, without its user and port.
       */
      readonly hostname?: string | undefined;
    }
  : Omit<StepOptions[M], "via">;

/** A step as an inventory may write it: like {@link Step}, but ssh needs no `hostname`. */
export type StepEntry = {
  [M in StepMethod]: { readonly [K in M]: OptionsOf<M> } & {
    readonly [K in Exclude<StepMethod, M>]?: never;
  };
}[StepMethod];

/** How to reach a host, and what else is known about it. */
export interface DetailedHost {
  /** One step, or several, the outermost first: `[{ ssh: {} }, { sudo: {} }]`. */
  readonly connect: StepEntry | readonly StepEntry[];
  /** The host's variables. They override those of its groups. */
  readonly vars?: Variables;
  /** Groups that the host belongs to, in addition to those whose members name it. */
  readonly groups?: readonly string[];
}

/** Values by name. The values must be able to travel: docs/encoding.md */
export type Variables = Readonly<Record<string, unknown>>;

/** A host of an inventory: its step or steps, or an object with `connect`. */
export type HostEntry = StepEntry | readonly StepEntry[] | DetailedHost;

/** A host in a list: an entry with its name. */
export type NamedHost = ({ readonly name: string } & StepEntry) | ({ readonly name: string } & DetailedHost);

/**
 * What a group holds: a pattern, a list of patterns and hosts, or a function that returns either. A function is called when the
 * group is first used, once for each inventory. Names that a function returns may be new: they are ssh hosts.
 */
export type Members = MemberList | (() => MemberList | Promise<MemberList>);

/** A pattern, or a list of patterns and hosts. */
export type MemberList = string | readonly (string | NamedHost)[];

/** A group with variables for its hosts. */
export interface DetailedGroup {
  /** What the group holds. */
  readonly hosts: Members;
  /** Variables of the group's hosts. A later group overrides an earlier one. */
  readonly vars?: Variables;
}

/** An inventory: the default export of `mitogen.config.ts`. */
export interface InventoryConfig {
  /** Hosts by name. */
  readonly hosts?: Readonly<Record<string, HostEntry>>;
  /** Groups by name, without "@". */
  readonly groups?: Readonly<Record<string, Members | DetailedGroup>>;
  /** Variables of every host. */
  readonly vars?: Variables;
  /** Default options by method: they apply to every step that does not set them itself. */
  readonly defaults?: { readonly [M in StepMethod]?: Partial<OptionsOf<M>> };
}

/** An inventory, or a function that makes one. */
export type ConfigSource = InventoryConfig | (() => InventoryConfig | Promise<InventoryConfig>);

/**
 * Returns its argument. With it, editors and the compiler know the type of what a config file exports:
 *
 * ```ts
 * export default defineConfig({ hosts: { web1: { ssh: { username: "deploy" } } } });
 * ```
 */
export function defineConfig<const T extends ConfigSource>(config: T): T {
  return config;
}

/** A host with its name checked, whose groups are not known yet. */
export interface HostRecord {
  readonly name: string;
  readonly steps: readonly Step[];
  readonly vars: Variables;
  /** Groups that the host names itself. */
  readonly groups: readonly string[];
}

/** A group with its shape checked. */
export interface GroupRecord {
  readonly name: string;
  /** In the order of the config; of a host that names the group, its record. */
  readonly members: Members;
  readonly vars: Variables;
}

/** A config whose shape and options have been checked. */
export interface InventoryData {
  /** Names the inventory in errors: a path, or "the inventory". */
  readonly origin: string;
  readonly hosts: Map<string, HostRecord>;
  readonly groups: Map<string, GroupRecord>;
  readonly vars: Variables;
  readonly defaults: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
}
