import { mkdir } from "node:fs/promises";
import { basename, join, posix } from "node:path";
import type { Context } from "../../core/context.ts";
import { MitogenError } from "../../errors.ts";
import { runSsh } from "../../fakessh/run-ssh.ts";
import { getFile } from "../../files/get-file.ts";
import { putFile } from "../../files/put-file.ts";
import type { Progress } from "../../files/transfer.ts";
import type { Host, WorkTools } from "../../fleet/index.ts";
import { ref } from "../../loader/naming/located-ref.ts";
import { showControls } from "../../text/harmless.ts";
import { hostFolder } from "./host-folder.ts";

/** Files that go to each host, or come from each. All local paths are absolute. Plain data, so that it can travel. */
export type TransferSpec =
  | {
      readonly kind: "put";
      readonly sources: readonly string[];
      /** A path on the host. It ends in `/` if it is a folder, as it must be for several sources. */
      readonly destination: string;
      readonly mode: number | undefined;
      readonly times: boolean;
    }
  | {
      readonly kind: "get";
      /** Paths on the host. */
      readonly sources: readonly string[];
      /** A folder here, which gets a folder for each host. */
      readonly destination: string;
      readonly times: boolean;
    }
  | {
      readonly kind: "sync";
      /** A local folder for rsync. With a `/` at its end, rsync copies what is in the folder. */
      readonly source: string;
      /** A path on the host. */
      readonly destination: string;
      /** More words for rsync. */
      readonly rsyncArgs: readonly string[];
    };

/** One file that was copied. */
export interface CopiedFile {
  /** Where it is now. */
  readonly path: string;
  readonly bytes: number;
  /** In hex. */
  readonly sha256: string;
}

/** The result of a transfer on one host: its files, or what rsync printed. */
export type TransferResult = readonly CopiedFile[] | { readonly stdout: string };

/** The function for `fleet.each`. */
export type TransferWork = (context: Context, host: Host, tools: WorkTools) => Promise<TransferResult>;

/** How much of what rsync says an error shows, in characters. */
const SHOWN_CHARACTERS = 2000;

const cwd = ref<() => string>("node:process", "cwd");

/** Makes the work of a transfer. */
export function transferWork(spec: TransferSpec): TransferWork {
  switch (spec.kind) {
    case "put":
      return (context, _, tools) =>
        oneByOne(spec.sources, tools, async (source, options) => {
          const path = placeOn(spec.destination, source);
          return { ...(await putFile(context, path, source, { ...options, ...given(spec) })), path };
        });
    case "get":
      return async (context, { name }, tools) => {
        const folder = join(spec.destination, hostFolder(name));
        await mkdir(folder, { recursive: true });
        return await oneByOne(spec.sources, tools, async (source, options) => {
          const path = join(folder, posix.basename(source));
          return { ...(await getFile(context, source, path, { ...options, ...given(spec) })), path };
        });
      };
    case "sync":
      return (context, { name }, { signal }) => rsync(context, name, spec, signal);
  }
}

/** Where a file goes on a host: into the destination if that is a folder, otherwise to that path itself. */
function placeOn(destination: string, source: string): string {
  return destination.endsWith("/") ? destination + basename(source) : destination;
}

function given({ mode, times }: { mode?: number | undefined; times: boolean }) {
  return { ...(mode === undefined ? {} : { mode }), times };
}

interface CopyOptions {
  readonly signal: AbortSignal;
  readonly onProgress: (progress: Progress) => void;
}

/** One after the other: a host's line is shared by all its files anyway. */
async function oneByOne(
  sources: readonly string[],
  { signal, emit }: WorkTools,
  copy: (source: string, options: CopyOptions) => Promise<CopiedFile>,
): Promise<CopiedFile[]> {
  const copied: CopiedFile[] = [];
  for (const source of sources) {
    const onProgress = ({ bytes, totalBytes }: Progress): void => {
      void emit({ type: "progress", bytes, ...(totalBytes === undefined ? {} : { totalBytes }) });
    };
    const { path, bytes, sha256 } = await copy(source, { signal, onProgress });
    copied.push({ path, bytes, sha256 });
  }
  return copied;
}

async function rsync(
  context: Context,
  host: string,
  { source, destination, rsyncArgs }: Extract<TransferSpec, { kind: "sync" }>,
  signal: AbortSignal,
): Promise<TransferResult> {
  // rsync would begin in the home directory, which is not where other commands are.
  const isRelative = !/^[/~]/.test(destination);
  const path = isRelative ? posix.join(await context.call(cwd), destination) : destination;
  // Any host name leads to the context. The `--` keeps a source that begins with a dash from being an option.
  const argv = ["rsync", "-a", ...rsyncArgs, "--", source, `host:${path}`];
  const { code, signal: endedBy, stdout, stderr } = await runSsh(context, argv, { stdio: "collect", signal });
  if (code === 0) return { stdout };
  const how = endedBy === null ? `with exit code ${code}` : `by ${endedBy}`;
  const said = showControls(stderr, "\n").trim().slice(-SHOWN_CHARACTERS);
  const missing =
    code === 127 || /rsync: (command )?not found/.test(said)
      ? "; rsync must be installed on the host too"
      : "";
  throw new MitogenError(
    `Cannot sync ${host}: rsync ended ${how}${missing}${said === "" ? "" : `: ${said}`}`,
  );
}
