import { isOptions } from "../../options/options.ts";
import { didYouMean } from "../../text/nearest.ts";
import { messageOf } from "../../wire/values/thrown.ts";
import type { GroupRecord, HostRecord, InventoryData, MemberList, NamedHost } from "../config/config.ts";
import { InventoryError, quote } from "../config/inventory-error.ts";
import { expandRanges, globMatcher, isGlob, parsePattern, type Term } from "../config/pattern.ts";
import { checkMemberList, readNamedHost } from "../config/read-config.ts";
import { SharedWork } from "./shared-work.ts";

/** What a group holds, in its order. */
export type Member = Term | HostRecord;

interface Group extends GroupRecord {
  /** Calls the group's function, once. */
  readonly work: SharedWork<Member[]> | undefined;
  /** The members, if no function makes them. */
  readonly listed: Member[];
}

/** The groups of an inventory: their members as written, and how they refer to each other. */
export class GroupTable {
  readonly #data: InventoryData;
  readonly #groups = new Map<string, Group>();
  /** The hosts of static groups that have been evaluated. */
  readonly staticHosts: Map<string, Map<string, HostRecord>> = new Map();
  #staticNames: string[] | undefined;
  /** What has been found out about groups. Groups may hold each other in very many ways. */
  readonly #below: Map<string, string[]> = new Map();
  readonly #heights: Map<string, number> = new Map();
  readonly #isStaticKnown: Map<string, boolean> = new Map();

  /** Adds the hosts that groups list to the hosts of `data`. Throws for unknown names, and for circles. */
  constructor(data: InventoryData) {
    this.#data = data;
    for (const group of data.groups.values()) this.#groups.set(group.name, this.#read(group));
    for (const host of data.hosts.values()) {
      for (const name of host.groups) {
        const group = this.#groups.get(name) ?? { name, members: [], vars: {}, work: undefined, listed: [] };
        group.listed.push(host);
        this.#groups.set(name, group);
      }
    }
    const checked = new Set<string>();
    for (const [name, group] of this.#groups) {
      for (const member of group.listed) if (isTerm(member)) this.#checkTerm(name, member);
      this.#checkCircle(name, [], checked);
    }
  }

  names(): string[] {
    return [...this.#groups.keys()];
  }

  vars(name: string): Readonly<Record<string, unknown>> {
    return this.#groups.get(name)?.vars ?? {};
  }

  /** The groups that a term means: `@web`, or `@web*`. Throws if there is none, and for `@all`, which is no group. */
  named(text: string): string[] {
    const name = text.slice(1);
    if (this.#groups.has(name)) return [name];
    const matches = isGlob(name) ? this.names().filter(globMatcher(name)) : [];
    if (matches.length > 0) return matches;
    const names = [...this.#groups.keys(), "all"];
    const hint =
      didYouMean(name, names) ||
      (this.#data.hosts.has(name)
        ? `; ${quote(name)} is a host`
        : names.length === 1
          ? "; it has no groups"
          : `; its groups are ${names.slice(0, 20).join(", ")}`);
    throw new InventoryError(`Cannot select ${quote(text)}: ${this.#data.origin} has no such group${hint}`);
  }

  /** What a group holds: as listed, and what its function returns. */
  async members(name: string, signal: AbortSignal | undefined): Promise<readonly Member[]> {
    const { work, listed = [] } = this.#groups.get(name) ?? {};
    return work === undefined ? listed : [...(await work.result(signal)), ...listed];
  }

  isFunction(name: string): boolean {
    return this.#groups.get(name)?.work !== undefined;
  }

  /** The groups whose hosts are known without running anything: neither a function nor a source is part of them. */
  staticNames(): string[] {
    this.#staticNames ??= this.names().filter((name) => this.#isStatic(name));
    return this.#staticNames;
  }

  /** How many groups lie below: 0 for a group that holds only hosts. */
  height(name: string): number {
    let height = this.#heights.get(name);
    if (height === undefined) {
      height = Math.max(0, ...this.#children(name).map((each) => 1 + this.height(each)));
      this.#heights.set(name, height);
    }
    return height;
  }

  #isStatic(name: string): boolean {
    let isStatic = this.#isStaticKnown.get(name);
    if (isStatic === undefined) {
      const { work, listed = [] } = this.#groups.get(name) ?? {};
      isStatic =
        work === undefined &&
        listed.every((member) => !isTerm(member) || member.kind !== "source") &&
        this.#children(name).every((each) => this.#isStatic(each));
      this.#isStaticKnown.set(name, isStatic);
    }
    return isStatic;
  }

  #children(name: string): string[] {
    const known = this.#below.get(name);
    if (known !== undefined) return known;
    const found = new Set<string>();
    for (const member of this.#groups.get(name)?.listed ?? [])
      if (isTerm(member) && member.kind === "group" && member.text !== "@all")
        for (const each of this.named(member.text))
          if (each !== name || !isGlob(member.text)) found.add(each);
    const below = [...found];
    this.#below.set(name, below);
    return below;
  }

  #read(group: GroupRecord): Group {
    const { name, members } = group;
    const where = `Cannot read ${this.#data.origin}: group ${quote(name)}`;
    if (typeof members !== "function") {
      const listed = this.#readMembers(where, members);
      for (const member of listed) {
        if (isTerm(member)) continue;
        if (this.#data.hosts.has(member.name))
          throw new InventoryError(
            `${where}: another host has the name ${quote(member.name)}; give only its name here`,
          );
        this.#data.hosts.set(member.name, member);
      }
      return { ...group, listed, work: undefined };
    }
    const call = async (): Promise<Member[]> => {
      try {
        const list = await members();
        return this.#readMembers(where, checkMemberList(where, list));
      } catch (error) {
        if (error instanceof InventoryError) throw error;
        throw new InventoryError(`${where}: its function failed: ${messageOf(error)}`, { cause: error });
      }
    };
    return { ...group, listed: [], work: new SharedWork(`evaluate group ${quote(name)}`, call) };
  }

  #readMembers(where: string, members: MemberList): Member[] {
    const list: readonly (string | NamedHost)[] = typeof members === "string" ? [members] : members;
    return list.flatMap((each): Member[] =>
      isOptions(each) ? [readNamedHost(where, each, this.#data.defaults)] : parsePattern([each]),
    );
  }

  /** A name that a config spells out must be known, because nothing else would notice a misspelt one. */
  #checkTerm(group: string, { kind, text }: Term): void {
    if (kind === "source" || text === "@all") return;
    const where = `Cannot read ${this.#data.origin}: group ${quote(group)}`;
    if (kind === "group") {
      if (isGlob(text)) return;
      if (this.#groups.has(text.slice(1))) return;
      throw new InventoryError(
        `${where}: there is no group ${quote(text)}${didYouMean(text.slice(1), this.names())}`,
      );
    }
    const { hosts } = this.#data;
    if (expandRanges(text).some((each) => isGlob(each) || hosts.has(each))) return;
    const hint = this.#groups.has(text)
      ? `; write "@${text}" for the group`
      : didYouMean(text, hosts.keys()) || `; for one that is not listed, write "ssh:${text}"`;
    throw new InventoryError(`${where}: there is no host ${quote(text)}${hint}`);
  }

  #checkCircle(name: string, path: readonly string[], checked: Set<string>): void {
    if (checked.has(name)) return;
    if (path.includes(name)) throw circle(this.#data.origin, [...path, name]);
    for (const each of this.#children(name)) this.#checkCircle(each, [...path, name], checked);
    checked.add(name);
  }
}

/** The error for groups that hold each other. */
export function circle(origin: string, path: readonly string[]): InventoryError {
  const names = path.slice(path.indexOf(path.at(-1) as string)).map((name) => `@${name}`);
  return new InventoryError(
    `Cannot read ${origin}: groups hold each other in a circle: ${names.join(" → ")}`,
  );
}

export function isTerm(member: Member): member is Term {
  return "operator" in member;
}
