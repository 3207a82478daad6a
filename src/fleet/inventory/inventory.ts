import { abortSignal, anyText } from "../../options/option-types.ts";
import { isOptions, type OptionTable, readOptions, show } from "../../options/options.ts";
import type { ConfigSource, InventoryConfig, InventoryData, NamedHost } from "../config/config.ts";
import type { Host } from "../config/host.ts";
import { InventoryError } from "../config/inventory-error.ts";
import { findConfig, loadConfig } from "../config/load-config.ts";
import { bareStep, checkName } from "../config/names.ts";
import { readConfig, readNamedHost } from "../config/read-config.ts";
import { addInventoryCommand } from "./ansible.ts";
import { GroupTable } from "./group-table.ts";
import { Selection, type SelectOptions } from "./selection.ts";
import { Sources } from "./sources.ts";

/** Options of `Inventory.load`. */
export interface LoadOptions {
  /**
   * A command line for `/bin/sh` that prints the JSON of one of Ansible's dynamic inventories, such as
   * `ansible-inventory --list`. Its hosts and groups are added to those of the config.
   */
  readonly inventoryCommand?: string | undefined;
  /** Ends the loading when it aborts, with its reason. */
  readonly signal?: AbortSignal | undefined;
}

const SELECT_OPTIONS: OptionTable<SelectOptions> = { signal: abortSignal };
const LOAD_OPTIONS: OptionTable<LoadOptions> = { ...SELECT_OPTIONS, inventoryCommand: anyText };

/**
 * Hosts, how to reach them, and their groups. An inventory never changes: every group is evaluated at most once, when a
 * pattern first uses it. See docs/inventory.md.
 *
 * ```ts
 * const inventory = await Inventory.load();
 * const hosts = await inventory.select("@web,!web3");
 * ```
 */
export class Inventory {
  readonly #data: InventoryData;
  readonly #groups: GroupTable;
  readonly #sources: Sources;

  private constructor(data: InventoryData) {
    this.#data = data;
    this.#groups = new GroupTable(data);
    this.#sources = new Sources(data.defaults);
  }

  /**
   * Loads a config file: `.ts`, `.mts`, `.js`, `.mjs`, `.cjs` or `.json`. Without a path, loads `mitogen.config` with
   * one of these extensions from the working directory, or the nearest folder above that has one. If there is none, the
   * inventory is empty: sources such as `local:3`, and addresses, still work. Rejects with an InventoryError that names
   * the file and what is wrong.
   */
  static async load(path?: string, options: LoadOptions = {}): Promise<Inventory> {
    const { inventoryCommand, signal } = readOptions("load an inventory", options, LOAD_OPTIONS);
    if (path !== undefined && typeof path !== "string")
      throw new InventoryError(`Cannot load an inventory: the path must be a string, got ${show(path)}`);
    signal?.throwIfAborted();
    const file = path ?? findConfig(process.cwd());
    const noFile =
      inventoryCommand === undefined
        ? ` (no mitogen.config file was found in ${process.cwd()} or above)`
        : "";
    const data =
      file === undefined ? readConfig({}, `the inventory${noFile}`) : await loadConfig(file, signal);
    if (inventoryCommand !== undefined) await addInventoryCommand(data, inventoryCommand, signal);
    return new Inventory(data);
  }

  /**
   * Makes an inventory from a config, or from a list. An element of a list is a host of another inventory, a host with its
   * `name`, or an address for ssh such as `"deploy@web1:2222"`. Throws an InventoryError.
   */
  static from(source: InventoryConfig | readonly (string | Host | NamedHost)[]): Inventory {
    const what = "Cannot make an inventory";
    if (!Array.isArray(source)) return new Inventory(readConfig(source, "the inventory"));
    const data = readConfig({}, "the inventory");
    for (const each of source as readonly unknown[]) {
      if (typeof each !== "string" && !isOptions(each))
        throw new InventoryError(
          `${what}: a host must be an address, or an object with a name, got ${show(each)}`,
        );
      const host =
        typeof each === "string"
          ? { name: checkName(what, "host", each), steps: [bareStep(each)], vars: {}, groups: [] }
          : readNamedHost(what, each, data.defaults);
      if (data.hosts.has(host.name))
        throw new InventoryError(`${what}: two hosts have the name "${host.name}"`);
      data.hosts.set(host.name, host);
    }
    return new Inventory(data);
  }

  /**
   * Returns the hosts that a pattern selects, in its order, each once: docs/inventory.md#patterns. Evaluates only the
   * groups and sources that the pattern uses. Rejects with an InventoryError for an unknown name, and if no host is
   * left; with the signal's reason if it aborts.
   */
  async select(pattern: string | readonly string[], options: SelectOptions = {}): Promise<Host[]> {
    const { signal } = readOptions("select hosts", options, SELECT_OPTIONS);
    signal?.throwIfAborted();
    const patterns = typeof pattern === "string" ? [pattern] : pattern;
    if (!(Array.isArray(patterns) && patterns.every((each) => typeof each === "string")))
      throw new InventoryError(
        `Cannot select hosts: the pattern must be a string or a list of strings, got ${show(pattern)}`,
      );
    return await new Selection(this.#data, this.#groups, this.#sources, signal).hosts(patterns);
  }

  /** Whether a pattern may call functions of the config. @internal */
  get hasFunctions(): boolean {
    return this.#groups.names().some((name) => this.#groups.isFunction(name));
  }

  /** Returns the names of all groups, without "@", in the order of the inventory. Runs no function of a group. */
  groupNames(): string[] {
    return this.#groups.names();
  }

  /**
   * Returns the names of all listed hosts, in the order of the inventory. Hosts of functions and sources are missing.
   */
  hostNames(): string[] {
    return [...this.#data.hosts.keys()];
  }
}

export type { ConfigSource };
