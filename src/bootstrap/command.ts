/**
 * Stage 0 and stage 1: the line that turns any node on a target into a child. docs/bootstrap.md describes it
 * step by step.
 *
 * Stage 0 is POSIX sh. It stands in single quotes on the command line of an unknown login shell (dash, bash,
 * zsh, fish, tcsh, restricted or not). So it holds no single quote, exclamation mark, newline or backtick.
 * `$0` is the nonce, `$1` the number of bytes that stage 1 reads. The rest is the command that starts node;
 * if it is empty, stage 0 looks for node.
 */

/** The programs to try if the caller gives no node. The first that exists is used. */
export const NODE_CANDIDATES: readonly string[] = ["node", "nodejs", "/usr/local/bin/node"];

/** The marker after the nonce: the shell runs and has moved the transport. */
export const MARK_SHELL = ":0";
/** None of the candidates exists. The output of `uname -sm` follows. */
export const MARK_NO_NODE = ":N";
/** A shell that is not ours reads the input after the command line as commands. */
export const MARK_OTHER_SHELL = ":S";
/** Node is too old, or is Bun. Its version follows. */
export const MARK_OLD_NODE = ":V";
/** A report of a target without node while it gets one: docs/provision.md. */
export const MARK_PROVISION = ":P";

/** Returns a line that stage 0 evaluates if it has found no node, whatever input came before the line. */
export function commandFor(nonce: string, script: string): string {
  return `\n${nonce} ${script}\n`;
}

/**
 * The line before the payload, which stage 1 skips. A login script may have started another shell instead of
 * ours, and that shell reads the payload as commands. This line is the first of them, and ends it.
 */
export function guardLine(nonce: string): string {
  return `echo ${nonce}${MARK_OTHER_SHELL};exit\n`;
}
const GUARD_BYTES = guardLine("0123456789abcdef").length;

/**
 * Reads exactly the guard line and the payload from descriptor 3, and calls the payload's function with
 * `require`, its source, the payload and the nonce. If the pipe is empty (EAGAIN), it tries again every
 * millisecond. Bun, whose versions begin with 1, is refused. An early end or a broken payload ends the
 * process at once. After an early end, the error names a variable that does not exist, `payload_cut`. In
 * `node -e`, builtin modules are globals. The block keeps the variables of stage 1 from becoming globals of user
 * code. Stage 1 stands in double quotes in stage 0.
 */
const STAGE_1 = `
{let{versions:{node:v,bun:w=v},argv:[,m,n]}=process,b=Buffer.alloc(+n),o=0,f=r=>{
try{for(;o<n;)o+=fs.readSync(3,b,o,n-o)||payload_cut}
catch(e){if(/EAG/.test(e))return setTimeout(f);throw e}
(0,eval)(r=zlib.brotliDecompressSync(b=b.slice(${GUARD_BYTES}))+[])(require,r,b,m)};
parseInt(w)<12?fs.writeSync(4,m+"${MARK_OLD_NODE} "+w+"\\n"):f()}`;

/**
 * A shell function. It waits for node, which was started in the background, ends the processes that node
 * leaves, and exits with node's exit code.
 */
const WAIT = [
  // The parameter for the pid of a background process has a character that csh would expand.
  'w(){ p=$(printf "\\41" 2>&-)&&eval p=\\$$p',
  'trap "" 1 2 15',
  "wait $p",
  "r=$?",
  // Closes the transport, which the process in the background would keep open. So the parent learns of the end,
  // and of the exit code, at once.
  "exec >&- 2>&- 3>&- 4>&-",
  // The group with node's pid is node's own. Without setsid there is no such group. The first signal is sent in
  // the foreground: a process that starts now would keep the shell's group alive, and the parent would search for
  // processes that are left.
  "kill -15 -$p||exit $r;sleep 1&&kill -9 -$p&exit $r;}",
].join(";");

/** Stage 0. Its parameters are the words of {@link bootWords}. */
export const STAGE_0: string = makeStage0(NODE_CANDIDATES);

/** Stage 0 for a target whose own node is of no use. It reports at once that there is no node. */
const STAGE_0_WITHOUT_NODE: string = makeStage0([]);

/**
 * Returns everything before the payload, as separate words: `sh`, `-c`, stage 0, nonce, length, node… If
 * `nodeCommand` is empty, stage 0 looks for node; if it is undefined, stage 0 uses no node of the target.
 */
export function bootWords(
  nonce: string,
  payloadBytes: number,
  nodeCommand: readonly string[] | undefined,
): string[] {
  const script = nodeCommand === undefined ? STAGE_0_WITHOUT_NODE : STAGE_0;
  return ["sh", "-c", script, nonce, String(GUARD_BYTES + payloadBytes), ...(nodeCommand ?? [])];
}

/**
 * Returns the same as one line for a login shell. Throws a RangeError for a path of node with a character that
 * some shells change between single quotes.
 */
export function bootCommand(
  nonce: string,
  payloadBytes: number,
  nodeCommand: readonly string[] | undefined,
): string {
  const words = bootWords(nonce, payloadBytes, nodeCommand);
  return words.map((word, index) => (index < 2 ? word : quoteForAnyShell(word))).join(" ");
}

/** Quotes a word so that csh, fish and POSIX shells all read it unchanged. */
export function quoteForAnyShell(word: string): string {
  // zsh expands a leading "=".
  if (/^[\w@%+:,./-][\w@%+=:,./-]*$/.test(word)) return word;
  if (/['!\n\r`\\\0]/.test(word === STAGE_0 || word === STAGE_0_WITHOUT_NODE ? "" : word)) {
    throw new RangeError(
      `Cannot pass ${JSON.stringify(word)} to an unknown login shell: single quotes, backslashes, "!", backticks and newlines are not safe in every shell`,
    );
  }
  return `'${word}'`;
}

/** Makes stage 0. `candidates` are the programs to try if the caller gives no node. */
function makeStage0(candidates: readonly string[]): string {
  const noNode = [...candidates.map((each) => `$c ${each}`), `echo $0${MARK_NO_NODE} $(uname -sm)>&4`].join(
    "||",
  );
  const script = STAGE_1.replace(/\n/g, "").replace(/"/g, '\\"');
  return [
    // When ksh starts a command, it closes the descriptors that exec opened, so each command names them again.
    "exec 3<&0 4>&1",

    "l=$1",
    "shift",
    'c="command -v"',
    `[ "$1" ]||set "$(${noNode})"`,
    // There is no node. A parent that can bring one sends lines that begin with the nonce. Other lines are skipped,
    // because the parent has already sent the payload: docs/provision.md.
    'until [ "$1" ];do read -r a n<&3||exit 127;[ "$a" = $0 ]&&eval "$n";done',
    `echo $0${MARK_SHELL}>&4`,
    // NODE_OPTIONS may say that the text after -e is an ES module.
    `set $($c setsid) "$@" --input-type=commonjs --experimental-vm-modules -e "${script}" $0 $l`,
    WAIT,
    // Two pipes of which only the read end is open. In dash, busybox and bash a small here-document is such a
    // pipe, without a process. IFS holds the line feed, which is then read from the pipe. `command` lets a
    // shell continue that cannot create a file for it.
    `n=\${IFS#??}`,
    'eval "command exec 5<<. 6<<.$n$n.$n$n."',
    '[ -p /dev/fd/6 ]&&{ read n<&5;read n<&6;"$@" 3<&3 4>&4 5<&5 6<&6&w;}',
    // In other shells a here-document is a file, or there is no /dev/fd. A `:` that has ended leaves such a pipe
    // as well.
    ':|{ exec 5<&0;:|exec "$@" 3<&3 4>&4 5<&5 6<&0&w;}',
  ].join(";");
}
