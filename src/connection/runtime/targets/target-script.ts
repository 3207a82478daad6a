import { quoteForSh } from "../../../text/shell-quote.ts";
import { BLOCK_BYTES, type RuntimePlan } from "../plan.ts";

/**
 * The lines that the shell of a target without node evaluates. Any POSIX sh must be able to read them, and they need
 * only programs that busybox has. Stage 0 has moved the transport to descriptors 3 and 4, and goes on once its first
 * parameter is the command for node. These lines leave the rest of its state alone: `l` and `c` are its variables.
 */

/** Where a runtime may be kept, in this order; the last two are in folders that all users write to. */
const FOLDERS = [
  "1)b=$XDG_CACHE_HOME;d=$b/mitogen;;",
  "2)b=$HOME;d=$b/.cache/mitogen;;",
  "3)b=/var/tmp;d=$b/mitogen-$u;;",
  "4)b=/tmp;d=$b/mitogen-$u;;",
];

/** After how many days incomplete files, and copies that nobody has used, are removed. */
const STALE_PART_DAYS = 1;
const UNUSED_DAYS = 30;

/** Programs of the target that are used if they are there. */
const TOOLS = ["gzip", "head", "dd", "sha256sum", "tee", "openssl", "perl", "python3"];

/**
 * k N: the Nth folder is $d, in $b. o PATH: it is this user's own. g: nobody else can put something in its
 * place. z: $e as the end of a marker.
 */
const FUNCTIONS = [
  "u=$(id -u)",
  `k(){ case $1 in ${FOLDERS.join("")}esac;case $b in /*);;*)return 1;;esac;}`,
  'o(){ [ -O "$1" ]&&case $(ls -ldn "$1" 2>/dev/null) in d????-??-*);;*)false;;esac;}',
  'g(){ [ -O "$b" ]||case $(ls -ldn "$b/" 2>/dev/null) in d????????[tT]*);;*)false;;esac;}',
  'z(){ (set -f;printf %.180s "$(echo $e)");}',
];

const say = (nonce: string, text: string): string => `echo "${nonce}:P ${text}">&4`;

/** Nothing of ours is for others; the context keeps the mask and the PATH of the login. */
function masked(...steps: readonly string[]): string {
  // An account's own PATH may lack folders that this needs.
  const before = ["m=$(umask)", "umask 077", "r=$PATH", "PATH=$PATH:/usr/bin:/bin"];
  return [...before, ...FUNCTIONS, ...steps, "PATH=$r", "umask $m"].join(";");
}

/**
 * Takes the first of the runtimes that is there and runs. Otherwise tells what is possible: `i N` a folder
 * follows, `p PATH`, `f KIB` free, or `x WHY` it is not to be used; `t TOOLS`; `l LIBC`; `h HOST`; `.` that
 * is all.
 */
export function lookScript(nonce: string, plans: readonly RuntimePlan[]): string {
  const tries = plans.map(
    ({ hash, version }) =>
      `e="$d/${hash}/node";[ -z "$f" ]&&[ -x "$e" ]&&v=$("$e" -v 2>/dev/null)&&case $v in ${version === "" ? "v*" : version})f=$e;;esac`,
  );
  return masked(
    "f=",
    `for i in 1 2 3 4;do if k $i&&g&&o "$d";then ${tries.join(";")};fi;done`,
    `if [ "$f" ];then touch -c "$f" 2>/dev/null;${say(nonce, "r $f")};else ${probe(nonce)};fi`,
    // Behind the mask is set back.
  ).concat(';trap - 1 2 15;[ "$f" ]&&set "$f"');
}

function probe(nonce: string): string {
  const unusable = (why: string): string => `{ ${say(nonce, `x ${why}`)};return;}`;
  return [
    "s=$(command -v sh)",
    "case $s in /*);;*)s=/bin/sh;;esac",
    "a(){ echo $4;}",
    [
      `q(){ ${say(nonce, "i $1")};${say(nonce, "p $d")}`,
      `[ -d "$b" ]||${unusable("there is no $b")}`,
      `g||${unusable("others may write to $b")}`,
      't="$d/.try.$$"',
      // Another connect that only tries the folder may remove it before the script is in it, and a third one may
      // make it again. So a folder counts as unusable only after five failures.
      "for j in 1 2 3 4 5 6 7 8 9;do " +
        [
          `if [ -d "$d" ];then :;else e=$(mkdir -p "$d" 2>&1)||${unusable("$(z)")};fi`,
          'e="it is not yours alone"',
          'o "$d"&&e=$( { echo "#!$s">"$t"&&echo "exit 7">>"$t"&&chmod 700 "$t";} 2>&1)&&break',
          `if [ $j -gt 4 ]&&[ -d "$d" ];then o "$d"&&rm -f "$t" 2>/dev/null;${say(nonce, "x $(z)")};return;fi`,
        ].join(";") +
        ";done",
      'e=$("$t" 2>&1)',
      "z=$?",
      'v=$(a $(df -kP "$d" 2>/dev/null|tail -n 1))',
      'rm -f "$t" 2>/dev/null',
      `[ $z = 7 ]||${unusable("nothing may be run there: $(z)")}`,
      `${say(nonce, "f $v")};}`,
    ].join(";"),
    // No folder stays that is not used.
    'for i in 1 2 3 4;do k $i&&{ q $i;o "$d"&&rmdir "$d" 2>/dev/null;};done',
    ...tellHost(nonce),
  ].join(";");
}

function tellHost(nonce: string): string[] {
  return [
    `t=;for i in ${TOOLS.join(" ")};do command -v $i>/dev/null&&t="$t $i";done`,
    say(nonce, "t$t"),
    "e=none;for i in /lib/ld-musl-*;do [ -e $i ]&&e=musl;done;for i in /lib/ld-linux* /lib64/ld-linux*;do [ -e $i ]&&e=glibc;done",
    say(nonce, "l $e"),
    // No other host knows that number: a host that lies could else have the connects to others wait for its own.
    say(nonce, "h $(uname -n) $(cat /proc/sys/kernel/random/boot_id 2>/dev/null)"),
    say(nonce, "."),
  ];
}

/** Tells the tools, the libc and the host, as {@link lookScript} does. */
export function memoryLookScript(nonce: string): string {
  return tellHost(nonce).join(";");
}

/** How a runtime is written to a folder. */
export interface Upload {
  readonly plan: RuntimePlan;
  /** Of the folders. */
  readonly folder: number;
  /** How many bytes will come on descriptor 3. */
  readonly bytes: number;
  readonly isPacked: boolean;
  /** What the target has. */
  readonly tools: readonly string[];
}

/**
 * Reads a runtime and puts it into its folder under its hash: first beside it, under a name that tells which
 * process writes it; then it is compared, run, and moved. Says `e KIND TEXT` if that fails: `write`, `sum`,
 * `run` or `move`.
 */
export function uploadScript(nonce: string, { plan, folder, bytes, isPacked, tools }: Upload): string {
  const { hash, version } = plan;
  const runs = `v=$("$t" -v 2>/dev/null);case $v in ${version === "" ? "v*" : version}):;;*)false;;esac`;
  return masked(
    "f=",
    `k ${folder}`,
    `h="$d/${hash}"`,
    "n=$(uname -n)",
    't="$h/node.$n.$$.part"',
    // A connect that is given up may end this shell. If it is killed outright, the next upload removes the part.
    `trap 'rm -f "$t" 2>/dev/null;exit 143' 1 2 15`,
    // Files that killed processes have left, and runtimes that nobody uses.
    `for i in "$d"/*/node.*.part;do j=\${i%.part};j=\${j##*.};case $i in *".$n.$j.part")kill -0 $j 2>/dev/null||rm -f "$i";;esac;done`,
    `find "$d" -name "*.part" -mtime +${STALE_PART_DAYS} 2>/dev/null|while read -r i;do rm -f "$i";done`,
    `find "$d" -name node -mtime +${UNUSED_DAYS} 2>/dev/null|while read -r i;do case $i in "$d"/*/node)rm -rf "\${i%/node}";;esac;done`,
    `x(){ rm -f "$t" 2>/dev/null;rmdir "$h" 2>/dev/null;${say(nonce, "e $1 $(z)")};}`,
    [
      `y(){ ${take(`head -c ${bytes} <&3${isPacked ? "|gzip -dc" : ""}`, plan, tools)}`,
      'chmod 700 "$t"',
      `${runs}||${plan.own === undefined ? "" : `{ ${ownLibraries(plan)};${runs};}||`}{ e=$("$t" -v 2>&1);x run;return;}`,
      `e=$(mv -f "$t" "$h/node" 2>&1)||{ x move;return;}`,
      `f="$h/node";${say(nonce, "r $f")};}`,
    ].join(";"),
    "y",
  ).concat(';[ "$f" ]&&set "$f"');
}

/** Twice, because a connect that only tries the folder above may remove that between the two steps of the first. */
const MAKE_FOLDER = '{ mkdir -p "$h" 2>/dev/null||mkdir -p "$h";}';

/** Writes the output of a command to $t, and compares it with the hash, or as well as the target can. */
function take(source: string, { hash, rawBytes }: RuntimePlan, tools: readonly string[]): string {
  const check = (found: string, wanted: string | number): string =>
    `e=$(${found});[ "$e" = ${wanted} ]||{ x sum;return;}`;
  const length = check('a(){ echo $1;};a $(wc -c <"$t")', rawBytes);
  // While it comes: that takes as long as to unpack it. The end of the list is that of the sum; what has
  // failed has said so in front of it.
  if (tools.includes("sha256sum") && tools.includes("tee")) {
    const taken = `e=$( { ${MAKE_FOLDER}&&o "$d"&&${source}|tee "$t"|sha256sum;} 2>&1)`;
    return `${taken};case $e in ${hash}*):;;*)x sum;return;;esac;${length}`;
  }
  const written = `e=$( { ${MAKE_FOLDER}&&o "$d"&&{ ${source};}>"$t";} 2>&1)||{ x write;return;};`;
  if (tools.includes("sha256sum")) return written + check('a(){ echo $1;};a $(sha256sum <"$t" 2>&1)', hash);
  if (tools.includes("openssl")) {
    return written + check(`e=$(openssl dgst -sha256 <"$t" 2>&1);echo \${e##* }`, hash);
  }
  return written + length;
}

/** Unpacks the libraries, and makes the executable use them. */
function ownLibraries(plan: RuntimePlan): string {
  const { own, libraries } = plan;
  if (own === undefined) return ":";
  const block = (bytes: number): number => bytes / BLOCK_BYTES;
  const copies = libraries.map(({ name, offset, bytes }) => {
    return `q ${quoteForSh(name)} ${block(offset)} ${block(bytes)}`;
  });
  const writes = own.patches.map(({ offset, hex }) => `w ${offset} "${octal(hex)}"`);
  return [
    'w(){ printf %b "$2"|dd of="$t" bs=1 seek=$1 conv=notrunc 2>/dev/null;}',
    `q(){ j="$h/node.$1.$n.$$.part";dd if="$t" of="$j" bs=${BLOCK_BYTES} skip=$2 count=$3 2>/dev/null&&chmod 700 "$j"&&mv -f "$j" "$h/$1";}`,
    ...copies,
    ...writes,
    `printf %s "$h/"${quoteForSh(own.loader)}|dd of="$t" bs=${BLOCK_BYTES} seek=${block(own.pathOffset)} conv=notrunc 2>/dev/null`,
  ].join(";");
}

/** As `printf %b` reads it, in double quotes. */
function octal(hex: string): string {
  return [...Buffer.from(hex, "hex")].map((byte) => `\\\\0${byte.toString(8).padStart(3, "0")}`).join("");
}
