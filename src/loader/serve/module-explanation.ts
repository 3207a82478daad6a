import { fileURLToPath } from "node:url";
import { printAsText } from "../../wire/values/inspectable.ts";
import type { ModuleFormat } from "../module-record.ts";
import { shortName } from "../short-name.ts";

/** What was done with a module, or would be done. */
export type ModuleState =
  /** Contexts have it. */
  | "sent"
  /** Not sent so far, but nothing forbids it. */
  | "available"
  /** It will not be sent, or could not be sent. */
  | "refused"
  /** A module of Node, or this library. Every context has its own. */
  | "builtin"
  /** The target loads it from its own disk. */
  | "provided";

/** A context that an explanation names. */
export interface ModuleReader {
  /** The context's id. */
  readonly contextId: number;
  /** The context's name. */
  readonly name: string;
}

/** Why a module was or was not sent; prints as text. */
export class ModuleExplanation {
  /** The module that was asked about: its id, if it has one. */
  readonly id: string;
  /** What was done with the module, or would be done. */
  readonly state: ModuleState;
  /** Why, in one sentence. */
  readonly reason: string;
  /** The path of the module's file, if it has one. */
  readonly path: string | undefined;
  /** Absent for a module that was not compiled. */
  readonly format: ModuleFormat | undefined;
  /** The imports that lead to this module, as ids: from the module that was called or asked for. Empty if none do. */
  readonly chain: readonly string[];
  /** The contexts that have it now. */
  readonly sentTo: readonly ModuleReader[];
  /** The program's rules that apply to the module: `deny("lodash")`, `modify(/\.ts$/)`. */
  readonly rules: readonly string[];
  /** The contexts that asked for the module and did not get it, with the reason. Only the last refusals are kept. */
  readonly refusals: readonly (ModuleReader & { readonly reason: string })[];

  /** @internal */
  constructor(
    id: string,
    state: ModuleState,
    reason: string,
    more: Partial<Pick<ModuleExplanation, "format" | "chain" | "sentTo" | "rules" | "refusals">> = {},
  ) {
    this.id = id;
    this.state = state;
    this.reason = reason;
    this.path = pathOf(id);
    this.format = more.format;
    this.chain = more.chain ?? [];
    this.sentTo = more.sentTo ?? [];
    this.rules = more.rules ?? [];
    this.refusals = more.refusals ?? [];
  }

  /** Returns the explanation as lines for people. */
  toString(): string {
    const lines = [`${this.id}: ${this.state}: ${this.reason}`];
    if (this.path !== undefined) lines.push(`  file: ${this.path}`);
    if (this.format !== undefined) lines.push(`  format: ${this.format}`);
    if (this.chain.length > 1) lines.push(`  imported by: ${this.chain.map(shortName).join(" → ")}`);
    if (this.rules.length > 0) lines.push(`  rules: ${this.rules.join(", ")}`);
    if (this.sentTo.length > 0) lines.push(`  sent to: ${this.sentTo.map(({ name }) => name).join(", ")}`);
    for (const { name, reason } of this.refusals) lines.push(`  refused to ${name}: ${reason}`);
    return lines.join("\n");
  }
}

printAsText(ModuleExplanation);

function pathOf(id: string): string | undefined {
  try {
    return id.startsWith("file:") ? fileURLToPath(id) : undefined;
  } catch {
    return undefined;
  }
}
