import { nearest } from "../../text/nearest.ts";
import type { HostRecord, InventoryData } from "../config/config.ts";
import type { Host } from "../config/host.ts";
import { InventoryError, quote } from "../config/inventory-error.ts";
import { isBareName, MAX_HOSTS } from "../config/names.ts";
import { expandRanges, globMatcher, isGlob, parsePattern, type Term } from "../config/pattern.ts";
import { makeStep } from "../config/read-config.ts";
import { circle, type GroupTable, isTerm, type Member } from "./group-table.ts";
import type { Sources } from "./sources.ts";

/** Options of `inventory.select`. */
export interface SelectOptions {
  /** Ends the selection when it aborts. It then rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

/** Hosts by name, in the order in which they were named. */
type Hosts = Map<string, HostRecord>;

/** Where a name stands: on a command line, in a config, or in what a function returned. */
type Place = "pattern" | "config" | "function";

/** One evaluation of a pattern. */
export class Selection {
  readonly #data: InventoryData;
  readonly #groups: GroupTable;
  readonly #sources: Sources;
  readonly #signal: AbortSignal | undefined;
  /** The groups that have been evaluated, with their hosts. */
  readonly #evaluated: Map<string, Hosts>;

  constructor(data: InventoryData, groups: GroupTable, sources: Sources, signal: AbortSignal | undefined) {
    this.#data = data;
    this.#groups = groups;
    this.#sources = sources;
    this.#signal = signal;
    this.#evaluated = new Map(groups.staticHosts);
  }

  async hosts(patterns: readonly string[]): Promise<Host[]> {
    const shown = quote(patterns.join(","));
    const terms = parsePattern(patterns);
    if (terms.length === 0) throw new InventoryError(`Cannot select ${shown}: it names no host`);
    const selected = await this.#combine(terms, [], "pattern");
    if (selected.size === 0) throw new InventoryError(`Cannot select ${shown}: no host is left`);
    for (const name of this.#groups.staticNames()) {
      if (!this.#evaluated.has(name)) this.#groups.staticHosts.set(name, await this.#group(name, []));
    }
    return [...selected.values()].map((record) => this.#finish(record));
  }

  /** First everything that is added, then the intersections, then the exclusions, in whatever order they are written. */
  async #combine(members: readonly Member[], path: readonly string[], place: Place): Promise<Hosts> {
    const of = (operator: Term["operator"]): Term[] =>
      members.filter((each): each is Term => isTerm(each) && each.operator === operator);
    let selected: Hosts = new Map();
    const added = members.filter((each) => !isTerm(each) || each.operator === "add");
    if (added.length === 0 && members.length > 0) selected = new Map(this.#data.hosts);
    for (const member of added) {
      if (!isTerm(member)) this.#add(selected, member);
      else for (const host of (await this.#term(member, path, place)).values()) this.#add(selected, host);
    }
    for (const term of of("intersect")) {
      const others = await this.#term(term, path, place, selected);
      selected = new Map([...selected].filter(([name]) => others.has(name)));
    }
    for (const term of of("exclude"))
      for (const name of (await this.#term(term, path, place, selected)).keys()) selected.delete(name);
    return selected;
  }

  /** The hosts that a term means. `among` has those selected so far, if the term only narrows. */
  async #term(term: Term, path: readonly string[], place: Place, among?: Hosts): Promise<Hosts> {
    if (term.kind === "source") return await this.#source(term, place);
    if (term.kind === "host") return this.#named(term, place, among);
    if (term.text === "@all") return new Map(this.#data.hosts);
    const found: Hosts = new Map();
    for (const name of this.#groups.named(term.text)) {
      // A group that is defined by a glob of groups does not mean itself.
      if (name === path.at(-1) && isGlob(term.text)) continue;
      for (const host of (await this.#group(name, path)).values()) this.#add(found, host);
    }
    return found;
  }

  async #group(name: string, path: readonly string[]): Promise<Hosts> {
    const known = this.#evaluated.get(name);
    if (known !== undefined) return known;
    if (path.includes(name)) throw circle(this.#data.origin, [...path, name]);
    const members = await this.#groups.members(name, this.#signal);
    const place = this.#groups.isFunction(name) ? "function" : "config";
    const hosts = await this.#combine(members, [...path, name], place);
    this.#evaluated.set(name, hosts);
    return hosts;
  }

  async #source(term: Term, place: Place): Promise<Hosts> {
    const { hosts, defaults, origin } = this.#data;
    const found: Hosts = new Map();
    for (const { name: plain, method, options } of await this.#sources.find(term, this.#signal)) {
      // A host of the inventory is reached as the inventory says; this one is another.
      const name = hosts.has(plain) ? `${term.source}:${plain}` : plain;
      const where = `Cannot select ${quote(term.text)} with ${origin}: host ${quote(name)}`;
      this.#add(found, {
        name,
        steps: [makeStep(where, plain, method, options, defaults)],
        vars: {},
        groups: [],
      });
    }
    if (found.size === 0 && term.operator === "add" && place === "pattern") throw this.#sources.nothing(term);
    return found;
  }

  #named({ text, operator }: Term, place: Place, among?: Hosts): Hosts {
    const known = among === undefined ? this.#data.hosts : new Map([...this.#data.hosts, ...among]);
    const found: Hosts = new Map();
    const unknown: string[] = [];
    const names = expandRanges(text);
    for (const name of names) {
      const host = known.get(name);
      if (host !== undefined) found.set(name, host);
      else if (isGlob(name)) {
        const isMatch = globMatcher(name);
        for (const [each, host] of known) if (isMatch(each)) found.set(each, host);
      } else unknown.push(name);
    }
    if (found.size > 0) return found;
    if (unknown.length === 0) {
      if (operator !== "add" || place !== "pattern") return found;
      throw new InventoryError(`Cannot select ${quote(text)}: ${this.#data.origin} has no host that matches`);
    }
    if (operator !== "add") {
      // A misspelt exception would let through what it was meant to keep out.
      throw this.#unknownName(unknown[0] as string);
    }
    for (const name of unknown) found.set(name, this.#bare(name, place));
    return found;
  }

  /** A host that the inventory does not have: by its address. */
  #bare(name: string, place: Place): HostRecord {
    if (!isBareName(name)) throw this.#unknownName(name);
    const isAddress = /[@:]/.test(name);
    if (place === "pattern" && !isAddress && this.#hint(name) !== undefined) throw this.#unknownName(name);
    const where = `Cannot select ${quote(name)}`;
    const method = name === "local" ? "local" : "ssh";
    return { name, steps: [makeStep(where, name, method, {}, this.#data.defaults)], vars: {}, groups: [] };
  }

  #unknownName(name: string): InventoryError {
    const hint = this.#hint(name);
    const meant = hint === undefined ? "" : `; did you mean ${quote(hint)}?`;
    const bare = isBareName(name) ? ` For a host that is not in the inventory, write "ssh:${name}".` : "";
    return new InventoryError(
      `Cannot select ${quote(name)}: ${this.#data.origin} has no such host${meant}${meant === "" ? "" : bare}`,
    );
  }

  #hint(name: string): string | undefined {
    const groups = this.#groups.names();
    if (groups.includes(name)) return `@${name}`;
    if (name === "all") return "@all";
    return nearest(name, this.#data.hosts.keys());
  }

  #add(hosts: Hosts, host: HostRecord): void {
    if (!hosts.has(host.name)) hosts.set(host.name, host);
    if (hosts.size > MAX_HOSTS) throw new InventoryError(`Cannot select more than ${MAX_HOSTS} hosts`);
  }

  /** Adds the groups and the variables: of the inventory, of outer groups, of inner groups, of the host. */
  #finish({ name, steps, vars, groups: own }: HostRecord): Host {
    const groups = this.#groups
      .names()
      .filter((group) => own.includes(group) || this.#evaluated.get(group)?.has(name) === true);
    const ordered = [...groups].sort((a, b) => this.#groups.height(b) - this.#groups.height(a));
    const levels = [this.#data.vars, ...ordered.map((group) => this.#groups.vars(group)), vars];
    // Not assigned, because a name may be `__proto__`.
    const all = Object.fromEntries(levels.flatMap((each) => Object.entries(each)));
    // Groups of a host of another inventory may be unknown here.
    return { name, groups: [...groups, ...own.filter((group) => !groups.includes(group))], vars: all, steps };
  }
}
