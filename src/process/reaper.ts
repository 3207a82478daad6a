import { type ChildProcess, spawn } from "node:child_process";
import type { Socket } from "node:net";
import { getLogger } from "../logging/log.ts";
import { checkDescriptors, SPAWN_DESCRIPTORS } from "./system-limits.ts";

/** How long the reaper stays when it has nothing to end: programs often connect again. */
const LINGER_MS = 500;
/** How long the end of the reaper may take when it has nothing to end. */
const SETTLE_MS = 1000;

/**
 * The script of the reaper. It reads lines until the program is gone: `3 -4711` (number and entry), or `3`
 * (forget that entry). Then it removes the files and gives the processes a second to end by themselves, as
 * most do when their input ends. It sends SIGTERM, and after the time that a context may take to end,
 * SIGKILL. The start time identifies a process whose pid may be used again, and the inode identifies a file.
 * Without /proc, the start time comes from `ps`. A word, `3 =ab12`, stands for a process that is being started.
 * The script searches command lines for the word, with a pattern that does not find the search itself.
 */
const SCRIPT = `
trap "" 1 2 3 15
m=0
tag() {
  case $1 in
  =*) b=;;
  /*) set -- $(ls -di -- "$1"); b=$1;;
  *)
    b=
    if [ -r /proc/self/stat ]; then
      read -r b </proc/\${1#-}/stat || return
      set -- \${b##*") "}
      b=\${20}
    else b=$(ps -o lstart= -p \${1#-})
    fi
  esac
}
left() {
  f=1 i=0
  while [ $i -lt $m ]; do
    i=$((i+1))
    eval "e=\\$e$i t=\\$t$i"
    case $e in ""|[=/]*) continue; esac
    tag $e
    [ "$b" ] && [ "$b" != "$t" ] && continue
    kill -$1 $e && f=0
  done
  return $f
}
ends() {
  n=$1
  while left 0; do
    [ $((n-=1)) -ge 0 ] || return
    sleep .1 || sleep 1
  done
  exit
}
while IFS= read -r e; do
  i=\${e%% *}
  case $e in
  *" "*)
    e=\${e#* }
    tag "$e"
    eval "e$i=\\$e t$i=\\$b"
    [ $i -le $m ] || m=$i;;
  *) unset e$i
  esac
done
i=0
while [ $i -lt $m ]; do
  i=$((i+1))
  eval "e=\\$e$i t=\\$t$i"
  case $e in
  /*) tag "$e"; [ "$b" = "$t" ] && rm -rf -- "$e";;
  =*)
    e=\${e#=}
    for f in $(grep -l "[\${e%\${e#?}}]\${e#?}" /proc/[0-9]*/cmdline); do
      f=\${f#/proc/}
      m=$((m+1))
      tag -\${f%/*}
      eval "e$m=-\${f%/*} t$m=\\$b"
    done
  esac
done
ends 10
left 15
ends 25
left 9`.trim();

const log = getLogger("mitogen.connect");

/**
 * A small process beside the program. It outlives the program by a moment, however the program ends, to end the
 * processes and remove the files that the program has registered. It runs only while there are entries:
 * docs/connections.md#what-ends-what.
 */
class Reaper {
  /** The entries, by their number minus one. Numbers are used again. */
  readonly #entries: (string | undefined)[] = [];
  #process: ChildProcess | undefined;
  /** The current process, or one that has been told to end. */
  #latest: ChildProcess | undefined;
  #exited: Promise<void> = Promise.resolve();
  #linger: NodeJS.Timeout | undefined;

  /**
   * Adds an entry: `-4711` is a process group, `4711` a process, `/run/x` a file or folder, `=ab12` the
   * process groups whose leaders have this word of letters and digits in their command lines. Returns a
   * function that removes the entry.
   */
  add(entry: string): () => void {
    // The reaper reads lines, so it cannot take such an entry. Nobody uses a path with a line end.
    if (entry.includes("\n")) return () => undefined;
    if (this.#process === undefined) this.spawn();
    clearTimeout(this.#linger);
    const free = this.#entries.indexOf(undefined);
    const index = free < 0 ? this.#entries.length : free;
    this.#entries[index] = entry;
    this.tell(`${index + 1} ${entry}`);
    return () => {
      if (this.#entries[index] !== entry) return;
      this.#entries[index] = undefined;
      this.tell(`${index + 1}`);
      this.linger();
    };
  }

  /** Resolves when the reaper has ended, if it has no entries. Never rejects. */
  async settle(): Promise<void> {
    if (!this.isIdle) return;
    clearTimeout(this.#linger);
    this.stop();
    // The reaper has nothing to do, and ends at once unless somebody has stopped it (SIGSTOP).
    const timer = setTimeout(() => this.#latest?.kill("SIGKILL"), SETTLE_MS);
    await this.#exited;
    clearTimeout(timer);
  }

  private get isIdle(): boolean {
    return this.#entries.every((entry) => entry === undefined);
  }

  private linger(): void {
    clearTimeout(this.#linger);
    if (this.isIdle) this.#linger = setTimeout(() => this.stop(), LINGER_MS).unref();
  }

  private spawn(): void {
    const failed = (error: Error): void =>
      log.warning(
        `The tools that this program starts may outlive it: sh could not be started: ${error.message}`,
      );
    try {
      checkDescriptors(SPAWN_DESCRIPTORS);
    } catch (error) {
      failed(error as Error);
      return;
    }
    const child = spawn("sh", ["-c", SCRIPT, "mitogen-reaper"], {
      // The reaper must keep no terminal, folder or output open.
      detached: true,
      cwd: "/",
      env: { PATH: process.env.PATH },
      stdio: ["pipe", "ignore", "ignore"],
    });
    this.#process = child;
    this.#latest = child;
    // Registered before anything else: if there are no descriptors left, this event is all that happens, and
    // there are no streams.
    this.#exited = new Promise((resolve) => {
      const onEnd = (): void => {
        // Something has ended the reaper: the next `add` starts another.
        if (this.#process === child) this.#process = undefined;
        resolve();
      };
      child.once("exit", onEnd);
      child.once("error", (error) => {
        failed(error);
        onEnd();
      });
    });
    child.unref();
    const input = child.stdin as Socket | undefined;
    // Bun's streams have no unref().
    input?.unref?.();
    input?.on("error", () => undefined);
    this.#entries.forEach((entry, index) => {
      if (entry !== undefined) this.tell(`${index + 1} ${entry}`);
    });
  }

  private stop(): void {
    const child = this.#process;
    this.#process = undefined;
    child?.stdin?.end();
  }

  private tell(line: string): void {
    this.#process?.stdin?.write(`${line}\n`);
  }
}

/** The reaper of this program. */
export const reaper: Reaper = new Reaper();
