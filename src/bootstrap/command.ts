/**
 * Stage 0 and stage 1: the one line that turns any node a target has into a child. docs/bootstrap.md tells it as a story.
 *
 * Stage 0 is POSIX sh. It stands in single quotes on the command line of an unknown login shell (dash, bash, zsh, fish,
 * tcsh, restricted or not), so it holds no single quote, exclamation mark, newline or backtick; `$0` is the nonce, `$1` how many
 * bytes stage 1 reads, the rest is the command that starts node, or nothing: then it is looked for.
 */

/** Where node is looked for when the caller names none; the first that exists is taken. */
export const NODE_CANDIDATES: readonly string[] = ["node", "nodejs", "/usr/local/bin/node"];

/** The marker behind the nonce: the shell runs and has moved the transport. */
export const MARK_SHELL = ":0";
/** No node among the candidates; `uname -sm` follows. */
export const MARK_NO_NODE = ":N";
/** Another shell than ours reads what comes behind the command line, for commands. */
export const MARK_OTHER_SHELL = ":S";
/** Node runs but is too old, or is Bun; its version follows. */
export const MARK_OLD_NODE = ":V";
/** What a target without node says while it is given one: docs/provision.md. */
export const MARK_PROVISION = ":P";

/** A line that stage 0 evaluates if it has found no node, whatever it has been sent before. */
export function commandFor(nonce: string, script: string): string {
  return `\n${nonce} ${script}\n`;
}

/**
 * What goes ahead of the payload, and stage 1 drops. A login script may have started another shell in place of ours, which takes the
 * payload for commands: this is the first of them, and the last.
 */
export function guardLine(nonce: string): string {
  return `echo ${nonce}${MARK_OTHER_SHELL};exit\n`;
}
const GUARD_BYTES = guardLine("0123456789abcdef").length;

/**
 * Reads exactly the guard line and the payload from descriptor 3, and calls what it is with `require`, its source, itself and the nonce. A pipe that is empty for now
 * (EAGAIN) is looked at again every millisecond; Bun, whose versions begin with 1, is no node; an early end, which is told by the name of a variable that does not exist, or a broken payload ends the process at once. In `node -e`, builtin modules are
 * globals. The block keeps its variables from being globals of the user's code. It stands in double quotes in stage 0.
 */
const STAGE_1 = `
{let{versions:{node:v,bun:w=v},argv:[,m,n]}=process,b=Buffer.alloc(+n),o=0,f=r=>{
try{for(;o<n;)o+=fs.readSync(3,b,o,n-o)||payload_cut_short}
catch(e){if(/EAG/.test(e))return setTimeout(f);throw e}
(0,eval)(r=zlib.brotliDecompressSync(b=b.slice(${GUARD_BYTES}))+[])(require,r,b,m)};
parseInt(w)<12?fs.writeSync(4,m+"${MARK_OLD_NODE} "+w+"\\n"):f()}`;

/** A function: waits for node, which was started in the background, ends what it leaves, and exits as it did. */
const WAIT = [
  // What stands for the pid of a background process has a character that csh would expand.
  'w(){ p=$(printf "\\41" 2>&-)&&eval p=\\$$p',
  'trap "" 1 2 15',
  "wait $p",
  "r=$?",
  // Not waited for, and without the transport: the parent learns of the end, and of the exit code, at once.
  "exec >&- 2>&- 3>&- 4>&-",
  // The group that bears node's pid is node's own, or, where there is no setsid, there is none.
  "kill -15 -$p&&sleep 1&&kill -9 -$p&exit $r;}",
].join(";");

/** Stage 0. Its parameters are the words of {@link bootWords}. */
export const STAGE_0: string = makeStage0(NODE_CANDIDATES);

/** The same for a target whose own node is of no use: it says at once that there is none. */
const STAGE_0_WITHOUT_NODE: string = makeStage0([]);

/**
 * Everything that precedes the payload, as separate words: `sh`, `-c`, stage 0, nonce, length, node… Without a `nodeCommand` node is not looked
 * for.
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
 * The same as one line for a login shell. Throws a RangeError for a node path with a character that not every shell leaves alone
 * between single quotes.
 */
export function bootCommand(
  nonce: string,
  payloadBytes: number,
  nodeCommand: readonly string[] | undefined,
): string {
  const words = bootWords(nonce, payloadBytes, nodeCommand);
  return words.map((word, index) => (index < 2 ? word : quoteForAnyShell(word))).join(" ");
}

/** A word as csh, fish and POSIX shells all read it. */
export function quoteForAnyShell(word: string): string {
  // A leading "=" is expanded by zsh.
  if (/^[\w@%+:,./-][\w@%+=:,./-]*$/.test(word)) return word;
  if (/['!\n\r`\\\0]/.test(word === STAGE_0 || word === STAGE_0_WITHOUT_NODE ? "" : word)) {
    throw new RangeError(
      `Cannot pass ${JSON.stringify(word)} to an unknown login shell: quotes, backslash, "!", backtick and line ends are not safe in every shell`,
    );
  }
  return `'${word}'`;
}

/** `candidates`: where node is looked for, if the caller names none. */
function makeStage0(candidates: readonly string[]): string {
  const noNode = [...candidates.map((each) => `$c ${each}`), `echo $0${MARK_NO_NODE} $(uname -sm)>&4`].join(
    "||",
  );
  const script = STAGE_1.replace(/\n/g, "").replace(/"/g, '\\"');
  return [
    "exec 3<&0 4>&1", // ksh closes what exec opened when it starts a command: it is named again there

    "l=$1",
    "shift",
    'c="command -v"',
    `[ "$1" ]||set "$(${noNode})"`,
    // There is none. Who can bring one sends lines that begin with the nonce, among what it has sent before: docs/provision.md.
    'until [ "$1" ];do read -r a n<&3||exit 127;[ "$a" = $0 ]&&eval "$n";done',
    `echo $0${MARK_SHELL}>&4`,
    // NODE_OPTIONS may say that what stands behind -e is an ES module.
    `set $($c setsid) "$@" --input-type=commonjs --experimental-vm-modules -e "${script}" $0 $l`,
    WAIT,
    // Two pipes of which only the read end is open. In dash, busybox and bash a small here-document is one, without a process; IFS has the
    // line feed, which is read away again. `command`: a shell that cannot make a file of it goes on.
    `n=\${IFS#??}`,
    'eval "command exec 5<<. 6<<.$n$n.$n$n."',
    '[ -p /dev/fd/6 ]&&{ read n<&5;read n<&6;"$@" 3<&3 4>&4 5<&5 6<&6&w;}',
    // Elsewhere it is a file, or there is no /dev/fd. A `:` that has ended leaves such a pipe as well.
    ':|{ exec 5<&0;:|exec "$@" 3<&3 4>&4 5<&5 6<&0&w;}',
  ].join(";");
}
