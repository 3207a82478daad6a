import { existsSync } from "node:fs";
import { isAbsolute } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { isBuiltin, MITOGEN } from "../builtins.ts";
import type { ModuleRules } from "../compile/module-rules.ts";
import { ModuleError } from "../module-error.ts";
import type { ModuleRecord } from "../module-record.ts";
import { packageNames, packageOfSpecifier, realUrl } from "../resolve/module-pattern.ts";
import { ModuleExplanation, type ModuleReader } from "./module-explanation.ts";
import type { NotedRequest } from "./request-log.ts";
import { idRefusal, saidSo } from "./serve-policy.ts";
import type { ServedContext } from "./served-context.ts";

/** Why a module was needed: for a call, for `forward()`, or because a context asked. */
export type RootReason = "called" | "forwarded" | "asked for";

/** What the responder knows about its modules. */
export interface Evidence {
  readonly rules: ModuleRules;
  readonly contexts: readonly { readonly reader: ModuleReader; readonly served: ServedContext }[];
  /** Every module that was ever sent, in the form in which it was last sent. */
  readonly records: ReadonlyMap<string, ModuleRecord>;
  /** Modules whose graph was needed, and why. */
  readonly roots: ReadonlyMap<string, RootReason>;
  /** The errors of modules whose last attempt failed. */
  readonly failures: ReadonlyMap<string, Error>;
  readonly refusals: readonly NotedRequest[];
}

const MAX_NAMED = 10;

/** Explains why a module was or was not sent. Never throws, whatever the id. */
export function explainModule(name: string, evidence: Evidence): ModuleExplanation {
  if (name === MITOGEN || name === "global" || isBuiltin(name)) {
    return new ModuleExplanation(name, "builtin", "every context has its own");
  }
  const url = isAbsolute(name) ? pathToFileURL(name) : URL.canParse(name) ? new URL(name) : undefined;
  const id = url?.protocol === "file:" ? realUrl(url).href : name;
  if (!/^(?:file|data):/.test(id)) return explainName(id, evidence);
  const { rules } = evidence;
  const refusals = evidence.refusals
    .filter((each) => each.id === id)
    .map(({ contextId, contextName, text }) => ({ contextId, name: contextName, reason: text }));
  const denial = rules.denial(id);
  const changes = rules.changes(id);
  const common = { rules: denial === undefined ? changes : [denial, ...changes], refusals };
  const record = evidence.records.get(id);
  if (record !== undefined) {
    const sentTo = evidence.contexts.filter(({ served }) => served.has(id)).map(({ reader }) => reader);
    const chain = chainTo(id, evidence);
    const more = { ...common, chain, sentTo, format: record.format };
    return new ModuleExplanation(id, "sent", reasonOfRoot(chain, evidence), more);
  }
  for (const [root, error] of evidence.failures) {
    const chain = error instanceof ModuleError ? (error.chain ?? [root]) : [root];
    if (!chain.includes(id)) continue;
    return new ModuleExplanation(id, "refused", error.message, { ...common, chain });
  }
  return new ModuleExplanation(id, ...prospect(id, evidence), { ...common, chain: chainTo(id, evidence) });
}

/** Explains a module that no context was sent: what would happen if a context asked for it. */
function prospect(
  id: string,
  { rules, contexts }: Evidence,
): [state: "available" | "refused", reason: string] {
  const denial = rules.denial(id);
  if (denial !== undefined) return ["refused", saidSo(denial)];
  if (isMissing(id) && !rules.hasOverride(id)) return ["refused", "there is no such file"];
  const anybody = {
    has: () => false,
    failure: () => undefined,
    names: (each: string) => contexts.some(({ served }) => served.names(each)),
    packageRoots: () => new Set(contexts.flatMap(({ served }) => [...served.packageRoots()])),
  };
  const refused = idRefusal(id, undefined, anybody, rules);
  if (refused === undefined) {
    const why = anybody.names(id)
      ? "a sent module names it, but nothing has needed it so far"
      : "nothing has needed it so far";
    return ["available", `${why}; a context that asks for it gets it`];
  }
  const advice = refused.startsWith("it is outside")
    ? `nothing has needed it so far, and a context that asks for it is refused: ${refused}; to change that: allow()`
    : refused;
  return ["refused", advice];
}

/** Explains a name that is not an id. It may be that of a package. */
function explainName(name: string, { contexts, records, rules }: Evidence): ModuleExplanation {
  const provision = rules.provision(name);
  if (provision !== undefined) {
    return new ModuleExplanation(name, "provided", "the target provides it", { rules: [provision] });
  }
  const own = packageOfSpecifier(name);
  const sent = new Set([...records.keys()].filter((id) => packageNames(id).includes(own ?? "")));
  if (sent.size === 0) {
    return new ModuleExplanation(
      name,
      "refused",
      "it is not the id of a module, and no module of such a package was sent; ask with a file: URL, a path or a function",
    );
  }
  const shown = [...sent].slice(0, MAX_NAMED).join(", ");
  const sentTo = contexts
    .filter(({ served }) => served.records.some(({ id }) => sent.has(id)))
    .map(({ reader }) => reader);
  return new ModuleExplanation(
    name,
    "sent",
    `${sent.size} modules of this package: ${shown}${sent.size > MAX_NAMED ? ", …" : ""}`,
    { sentTo },
  );
}

function reasonOfRoot(chain: readonly string[], { roots }: Evidence): string {
  const root = chain[0];
  const why = root === undefined ? undefined : roots.get(root);
  const subject = chain.length > 1 ? "a module that leads to it" : "it";
  switch (why) {
    case "called":
      return chain.length > 1
        ? "a function of a module that leads to it was called"
        : "a function of it was called";
    case "forwarded":
      return `${subject} was forwarded by the program`;
    case "asked for":
      return `a context asked for ${subject}`;
    default:
      return "it was needed";
  }
}

/**
 * Returns the shortest chain of imports to a module, through modules that were sent. Prefers chains that start
 * from a called function.
 */
function chainTo(id: string, { records, roots }: Evidence): string[] {
  for (const why of ["called", "forwarded", "asked for"] satisfies RootReason[]) {
    const starts = [...roots].filter(([, reason]) => reason === why).map(([root]) => root);
    const chain = chainFrom(starts, id, records);
    if (chain.length > 0) return chain;
  }
  return [];
}

function chainFrom(
  starts: readonly string[],
  id: string,
  records: ReadonlyMap<string, ModuleRecord>,
): string[] {
  const parents = new Map<string, string | undefined>(starts.map((root) => [root, undefined]));
  for (const [at] of parents) {
    if (at === id) break;
    const record = records.get(at);
    if (record === undefined) continue;
    for (const named of [...Object.values(record.imports), ...Object.values(record.requires)]) {
      if (!parents.has(named)) parents.set(named, at);
    }
  }
  if (!parents.has(id)) return [];
  const chain: string[] = [];
  for (let at: string | undefined = id; at !== undefined; at = parents.get(at)) chain.unshift(at);
  return chain;
}

function isMissing(id: string): boolean {
  try {
    return id.startsWith("file:") && !existsSync(fileURLToPath(id.replace(/[?#][\s\S]*/, "")));
  } catch {
    return true;
  }
}
