import { StreamError } from "../../errors.ts";
import { oneOf, required, target, text } from "../../options/option-types.ts";
import { quoteForSh } from "../../text/shell-quote.ts";
import type { ConnectOptions, LibraryMethod } from "./method.ts";

/** Options of `router.setns()`. */
export interface SetnsOptions extends ConnectOptions {
  /** The name or id of a running container, as its `kind` knows it. */
  readonly container: string;
  /** The tool that runs the container, and therefore knows its process. */
  readonly kind: "docker" | "podman" | "lxc" | "lxd" | "incus" | "machinectl";
  /** A user of the container, `root` by default. Its supplementary groups are not set. */
  readonly username?: string | undefined;
  /** The client; `docker` by default. */
  readonly dockerPath?: string | undefined;
  /** The client; `podman` by default. */
  readonly podmanPath?: string | undefined;
  /** LXD's client; `lxc` by default. */
  readonly lxcPath?: string | undefined;
  /** lxc-info(1) of classic LXC; `lxc-info` by default. */
  readonly lxcInfoPath?: string | undefined;
  /** The client; `incus` by default. */
  readonly incusPath?: string | undefined;
  /** machinectl(1); `machinectl` by default. */
  readonly machinectlPath?: string | undefined;
  /** nsenter(1); `nsenter` by default. */
  readonly nsenterPath?: string | undefined;
}

/**
 * How to ask a tool for the process of a container. `prefix` precedes the pid in the answer; it is a basic
 * regular expression.
 */
interface LeaderQuery {
  readonly path: keyof SetnsOptions;
  readonly tool: string;
  readonly args: readonly string[];
  readonly prefix: string;
}

const QUERIES: { readonly [kind in SetnsOptions["kind"]]: LeaderQuery } = {
  docker: { path: "dockerPath", tool: "docker", args: ["inspect", "--format={{.State.Pid}}"], prefix: "" },
  podman: { path: "podmanPath", tool: "podman", args: ["inspect", "--format={{.State.Pid}}"], prefix: "" },
  lxc: { path: "lxcInfoPath", tool: "lxc-info", args: ["--name"], prefix: "[Pp][Ii][Dd]:[[:space:]]*" },
  lxd: { path: "lxcPath", tool: "lxc", args: ["info"], prefix: "[Pp][Ii][Dd]:[[:space:]]*" },
  incus: { path: "incusPath", tool: "incus", args: ["info"], prefix: "[Pp][Ii][Dd]:[[:space:]]*" },
  machinectl: {
    path: "machinectlPath",
    tool: "machinectl",
    args: ["status"],
    prefix: "[[:space:]]*Leader:[[:space:]]*",
  },
};

/**
 * Enters a container's namespaces without the tool that runs it. For tools that cannot run commands, or that
 * hide their errors.
 */
export const setnsMethod: LibraryMethod<SetnsOptions> = {
  name: "setns",
  isLocal: true,
  options: {
    container: required(target),
    kind: required(oneOf("docker", "podman", "lxc", "lxd", "incus", "machinectl")),
    username: target,
    dockerPath: text,
    podmanPath: text,
    lxcPath: text,
    lxcInfoPath: text,
    incusPath: text,
    machinectlPath: text,
    nsenterPath: text,
  },
  nodeCommand: [],
  contextName: ({ container }) => `setns.${container}`,
  argv(options, boot) {
    const { container, kind, username = "root", nsenterPath = "nsenter" } = options;
    const { path, tool, args, prefix } = QUERIES[kind];
    const query = [String(options[path] ?? tool), ...args, container].map(quoteForSh).join(" ");
    const user = quoteForSh(username);
    return ["sh", "-c", enterScript(query, prefix, user, quoteForSh(nsenterPath)), "setns", ...boot.words];
  },
  diagnose: (lines) =>
    lines.some((line) => line === NO_NSENTER)
      ? {
          type: StreamError,
          message: "nsenter is missing",
          hint: "install util-linux, or pass nsenterPath",
        }
      : undefined,
};

const NO_NSENTER = "mitogen: no nsenter";

/**
 * The script, for POSIX sh. It asks for the container's first process, looks the user up in the container's
 * own passwd, and enters the namespaces. It enters the user namespace only if it is another one, because
 * entering one's own is an error.
 */
function enterScript(query: string, prefix: string, user: string, nsenter: string): string {
  return `
die(){ echo "mitogen: $1" >&2; exit "$2"; }
command -v ${nsenter} >/dev/null || die "no nsenter" 127
said=$(${query} </dev/null) || { code=$?; echo "$said" >&2; exit "$code"; }
pid=$(printf '%s\\n' "$said" | sed -n 's/^[[:space:]]*${prefix}\\([0-9][0-9]*\\).*$/\\1/p' | head -n 1)
[ "\${pid:-0}" -gt 0 ] || die "the container has no process: $said" 1
while IFS=: read -r name _ uid gid _ home shell; do
  [ "$name" = ${user} ] && break
  name=
done 2>/dev/null <"/proc/$pid/root/etc/passwd"
[ "$name" ] || { name=${user} uid=0 gid=0 home=/root shell=/bin/sh; [ ${user} = root ] || die "no user $name in the container" 1; }
own=--user
[ "$(readlink "/proc/$pid/ns/user")" = "$(readlink /proc/self/ns/user)" ] && own=
HOME=$home SHELL=$shell LOGNAME=$name USER=$name
export HOME SHELL LOGNAME USER
exec ${nsenter} --target "$pid" $own --mount --uts --ipc --net --pid --root --wd --setuid "$uid" --setgid "$gid" -- "$@"
`.trim();
}
