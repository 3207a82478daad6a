/** The names of members that the build shortens in code that travels. */
import { parse } from "acorn";

const SYNTAX = { ecmaVersion: "latest", sourceType: "module" };

/**
 * Members of internal objects that the payload and its parts share. User code never sees these names, nothing looks a
 * member up by its name, and none is a key of a value that travels.
 */
const INTERNAL_NAMES = [
  // What moves frames.
  ...["addRoute", "answerDead", "deadFrame", "delRoutes", "endHandlers", "endRespondents", "firstHandle"],
  ...[
    "framePolicy",
    "freeCreditHandle",
    "freeHandle",
    "handlerCount",
    "hasAuthority",
    "hasHandler",
    "isAbove",
  ],
  ...["isPersistent", "isService", "isStuck", "onBackedUp", "lossListeners", "onForwarded", "onParentLost"],
  ...["peerOf", "respondentId", "respondentIds", "routeFrame", "routedIds", "unlisten"],
  // Links.
  ...["directBytes", "flushBeforeExit", "hasOutput", "isLeft", "noteRead", "onBytes", "onClosed"],
  ...[
    "onDrained",
    "onFrame",
    "onLeft",
    "pendingBytes",
    "releaseIfIdle",
    "sendBytes",
    "takeSpent",
    "askMaster",
    "waitFor",
  ],
  ...["writeDirectlyTo"],
  // Calls, and what contexts ask their routers for.
  ...[
    "bindCalls",
    "cancelReason",
    "hasReferences",
    "isQuiet",
    "markGone",
    "newChain",
    "newCredits",
    "newHandle",
  ],
  ...["newWindow", "onCancelled", "originalStack", "requireFeatures", "shutdownContext"],
  ...["goneListeners", "setPlainForm"],
  // Values to bytes and back.
  ...["errorDepth", "flushed", "readText", "scratch"],
  ...["countFor", "parentPid", "startTime", "waitingFor"],
];

/** Names to which nothing is shortened, because a later bundle has members with these names. */
export const RESERVED_NAMES = { at: false, fn: false, on: false };

/**
 * Matches private and protected members, where the name cannot be anything else: camelCase, and only ever
 * written `this.name`. `sources` are the texts of all of src/. Throws if a name is private in one class and
 * public in another, where user code may call it, or is taken from an object.
 */
export function shortenedNames(sources) {
  const text = sources.join("\n");
  const declared = declarations(
    text,
    /^ {2}(?:private|protected) (?:static |readonly |async |override )*(\w+)/gm,
  );
  const names = new Set(declared.filter((name) => /[a-z][A-Z]/.test(name)));
  for (const { 0: word, index } of text.matchAll(/\w+/g)) {
    if (names.has(word) && !/(?:^|\s|\bthis\.)$/.test(text.slice(Math.max(0, index - 6), index)))
      names.delete(word);
  }
  // At this depth of a class there are only members.
  const classes = [...text.matchAll(/^(?:export )?(?:abstract )?class [\s\S]*?^}/gm)].join("\n");
  const open = declarations(
    classes,
    /^ {2}(?:(?:public|static|readonly|async|override|get|set|declare) )*\*?(\w+)[?!]?[(<:=;]/gm,
  );
  // A bundle takes functions of another by their names, which nothing shortens there: `const { startThread } = part`.
  const taken =
    declarations(text, /^ *(?:const|let) \{ (.*) \} = (?!this\b)/gm)
      .join(",")
      .match(/\w+/g) ?? [];
  const both = [...open, ...taken].filter((name) => names.has(name));
  if (both.length > 0) {
    throw new Error(
      `${both.join(", ")}: private in one class and public in another, or taken from an object, so the build would shorten both; rename one`,
    );
  }
  return new RegExp(`^(${[...names, ...INTERNAL_NAMES].join("|")})$`);
}

function declarations(text, pattern) {
  return [...new Set([...text.matchAll(pattern)].map(([, name]) => name))];
}

/**
 * The names that stand for two members: two are shortened to it, or a member of the bundle that nothing shortens has it.
 * `shortNames` are those of this bundle and of all before it, whose objects it gets. esbuild does not compare them: it takes
 * the names of earlier bundles as they are. `text` is the bundle with whole names.
 */
export function clashes(text, shortNames) {
  const shorter = new Map(Object.entries(shortNames));
  const takenBy = new Map();
  const found = [];
  for (const name of new Set([...shorter.keys(), ...memberNames(parse(text, SYNTAX))])) {
    const short = shorter.get(name) || name;
    if (takenBy.has(short)) found.push(`${takenBy.get(short)} and ${name} are both ${short}`);
    else takenBy.set(short, name);
  }
  return found;
}

/** The names of properties and methods, wherever they are written. */
function* memberNames(node) {
  if (Array.isArray(node)) for (const each of node) yield* memberNames(each);
  if (typeof node?.type !== "string") return;
  const key = node.type === "MemberExpression" ? node.property : node.key;
  if (key?.type === "Identifier" && node.computed !== true) yield key.name;
  else if (key?.type === "Literal") yield String(key.value);
  for (const child of Object.values(node)) if (typeof child === "object") yield* memberNames(child);
}
