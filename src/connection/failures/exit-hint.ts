export const UNSET_OPTIONS =
  'see NODE_OPTIONS there, or have it ignored: nodePath: ["env", "NODE_OPTIONS=", "node"]';

/** What the last output of a node that could not start means, as far as its machine is the reason. */
const LAST_WORDS: readonly (readonly [RegExp, string])[] = [
  [
    /unexpected argument '--(?:input-type|experimental-vm-modules)/,
    "Deno was started there, but contexts run only on Node: install node there, or pass the path of one as nodePath",
  ],
  [
    /Decompression failed/,
    "another program there read or closed its input: check login scripts, and the command of nodePath",
  ],
  [/EvalError: Code generation/, `it is not allowed to compile code from text there: ${UNSET_OPTIONS}`],
  [
    /Access to this API has been restricted/,
    `it lacks permissions that a context needs there: ${UNSET_OPTIONS}`,
  ],
  [
    /NODE_OPTIONS|internal\/preload|Cannot (?:find|load) module|ERR_MODULE_NOT_FOUND|ERR_REQUIRE_ESM|--watch/,
    `node does not start with its settings there: ${UNSET_OPTIONS}`,
  ],
  [/\buv_cwd\b/, "the directory in which it was started no longer exists there: start it in one that exists"],
  [
    /\bEMFILE\b|uv_loop_init/,
    "the limit on descriptors is too low there (ulimit -n): a context needs about 30",
  ],
  [
    /\bEAGAIN\b|uv_thread_create|Cannot fork|fork: /,
    "the limit on processes and threads is too low there (ulimit -u, or pids.max of a control group)",
  ],
  [
    /\bENOMEM\b|process OOM|out of memory/i,
    "it got too little memory there: see ulimit -v, and memory.max of a control group",
  ],
];
/**
 * SIGILL, SIGTRAP, SIGABRT, SIGBUS and SIGSEGV, as a shell reports them: node ends with these if it lacks
 * resources when it starts.
 */
const CRASHES: ReadonlySet<number> = new Set([132, 133, 134, 135, 139]);

/** If node cannot start threads, it waits for ever without any output. */
const SILENT_NODE_HINT =
  "node was started there and says nothing: check whether processes, threads or memory are limited (ulimit -u, ulimit -v)";

/** The hint for a connect that timed out while node was starting. */
export function waitingHint(text: string): string {
  if (text === "") return SILENT_NODE_HINT;
  return /^Debugger listening on /m.test(text) ? `it waits for a debugger there: ${UNSET_OPTIONS}` : "";
}

/** The hint for a node that ended before it was ready; empty if nothing is known. */
export function crashHint(text: string, code: number | null): string {
  const known = LAST_WORDS.find(([words]) => words.test(text));
  if (known !== undefined) return known[1];
  if (code === null || !CRASHES.has(code)) return "";
  return "node crashed there: check whether its descriptors (ulimit -n) or its memory (ulimit -v) are limited";
}
