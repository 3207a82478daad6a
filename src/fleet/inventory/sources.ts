import type { StepMethod } from "../config/host.ts";
import { InventoryError, quote } from "../config/inventory-error.ts";
import { isBareName, MAX_HOSTS } from "../config/names.ts";
import { expandRanges, globMatcher, isGlob, type SourceName, type Term } from "../config/pattern.ts";
import { runSource } from "./run-source.ts";
import { SharedWork } from "./shared-work.ts";
import { sshHosts } from "./ssh-config.ts";

/** The most hosts of `local:N`. */
const MAX_LOCAL = 1000;

/** A host that a source has found: how to reach it. */
export interface FoundHost {
  readonly name: string;
  readonly method: StepMethod;
  readonly options: Readonly<Record<string, unknown>>;
}

type Options = Readonly<Record<string, unknown>>;

/** A question to a source: the term as written, the part after the colon, and the default options of steps. */
interface Question {
  readonly text: string;
  readonly about: string;
  readonly options: Options;
  readonly signal: AbortSignal;
}

/** Asks a source. */
type Source = (question: Question) => Promise<FoundHost[]> | FoundHost[];

interface Kind {
  /** Whose default options it uses. */
  readonly method: StepMethod;
  readonly ask: Source;
  /** The error if no host matches. */
  readonly none: string;
}

const SOURCES: Readonly<Record<SourceName, Kind>> = {
  local: { method: "local", ask: localHosts, none: "" },
  ssh: { method: "ssh", ask: hostsOfSshConfig, none: "no Host line of ssh_config has a name that matches" },
  docker: { method: "docker", ask: containers, none: "no running container has a name that matches" },
  kube: { method: "kubectl", ask: pods, none: "no running pod matches" },
};

/** The sources of hosts besides the config. Each question is asked once. */
export class Sources {
  readonly #defaults: Readonly<Record<string, Options>>;
  readonly #asked = new Map<string, SharedWork<FoundHost[]>>();

  /** `defaults` has options by method: paths of tools, and their arguments. */
  constructor(defaults: Readonly<Record<string, Options>>) {
    this.#defaults = defaults;
  }

  /** Why a term means no host. */
  nothing({ text, source }: Term): InventoryError {
    return new InventoryError(`${cannot(text)}: ${SOURCES[source as SourceName].none}`);
  }

  /** The hosts that a term means, perhaps none. Rejects with an InventoryError if the source fails. */
  find({ text, source }: Term, signal: AbortSignal | undefined): Promise<FoundHost[]> {
    const { method, ask } = SOURCES[source as SourceName];
    let work = this.#asked.get(text);
    if (work === undefined) {
      const about = text.slice(text.indexOf(":") + 1);
      const options = this.#defaults[method] ?? {};
      work = new SharedWork(`select ${quote(text)}`, async (ended) => {
        const found = await ask({ text, about, options, signal: ended });
        if (found.length > MAX_HOSTS)
          throw new InventoryError(`${cannot(text)}: more than ${MAX_HOSTS} hosts`);
        return found;
      });
      this.#asked.set(text, work);
    }
    return work.result(signal);
  }
}

/** `local:3` is three contexts on this machine. */
function localHosts({ text, about }: Question): FoundHost[] {
  const number = /^\d{1,4}$/.test(about) ? Number(about) : 0;
  if (number < 1 || number > MAX_LOCAL)
    throw new InventoryError(
      `${cannot(text)}: write local: and a number from 1 to ${MAX_LOCAL}, such as local:3`,
    );
  return Array.from({ length: number }, (_, i) => ({ name: `local${i + 1}`, method: "local", options: {} }));
}

/** `ssh:web*` has the names of `Host` lines. A plain name need not have one. */
function hostsOfSshConfig({ about, options }: Question): FoundHost[] {
  const names = expandRanges(about);
  const listed = sshHosts(configFile(options["sshArgs"]));
  const found = matching(names, listed);
  const plain = names.filter((name) => !isGlob(name) && isBareName(name));
  const hosts = found.length > 0 ? found : plain;
  return hosts.map((name) => ({ name, method: "ssh", options: found.length > 0 ? { hostname: name } : {} }));
}

/** The file of `-F`, which replaces the user's and the system's. */
function configFile(sshArgs: unknown): string | undefined {
  const args = Array.isArray(sshArgs) ? (sshArgs as string[]) : [];
  const at = args.findIndex((arg) => arg.startsWith("-F"));
  const arg = args[at];
  return arg === undefined || arg.length > 2 ? arg?.slice(2) : args[at + 1];
}

/** `docker:web*` has the names of running containers. A plain name is left to docker. */
async function containers({ text, about, options, signal }: Question): Promise<FoundHost[]> {
  const names = expandRanges(about);
  const host = (container: string): FoundHost => ({
    name: `docker:${container}`,
    method: "docker",
    options: { container },
  });
  if (names.every((name) => !isGlob(name) && isBareName(name)) && !about.includes("["))
    return names.map(host);
  const { dockerPath = "docker" } = options as { dockerPath?: string };
  const output = await runSource(
    cannot(text),
    [dockerPath, "ps", "--no-trunc", "--format", "{{.Names}}"],
    signal,
  );
  // With links, a container has further names: `web,app/db`.
  const running = output.split("\n").flatMap((line) =>
    line
      .split(",")
      .filter((name) => !name.includes("/"))
      .slice(0, 1),
  );
  const found = matching(names, running.filter(isBareName));
  return found.map(host);
}

const POD_FORMAT = 'jsonpath={range .items[*]}{.metadata.namespace}{"/"}{.metadata.name}{"\\n"}{end}';

/** `kube:shop/app=web` has the running pods of a namespace, by labels or by a glob of names; `*` is every namespace. */
async function pods({ text, about, options, signal }: Question): Promise<FoundHost[]> {
  const slash = about.indexOf("/");
  const [namespace, rest] = slash < 0 ? [about, "*"] : [about.slice(0, slash), about.slice(slash + 1) || "*"];
  if (namespace !== "*" && !/^[a-z0-9-]*$/.test(namespace))
    throw new InventoryError(
      `${cannot(text)}: ${quote(namespace)} is not a namespace; write kube:namespace/name* or kube:namespace/label=value`,
    );
  const { kubectlPath = "kubectl", kubectlArgs = [] } = options as {
    kubectlPath?: string;
    kubectlArgs?: string[];
  };
  const host = (from: string, pod: string): FoundHost => ({
    name: `kube:${from}/${pod}`,
    method: "kubectl",
    options: { pod, kubectlArgs: from === "" ? kubectlArgs : [...kubectlArgs, `--namespace=${from}`] },
  });
  const isSelector = /[=!]|\s(?:not)?in\s/.test(rest);
  const names = isSelector ? ["*"] : expandRanges(rest);
  if (namespace !== "*" && names.every((name) => !isGlob(name) && isBareName(name)) && !rest.includes("["))
    return names.map((pod) => host(namespace, pod));
  const argv = [kubectlPath, ...kubectlArgs, "get", "pods", "--output", POD_FORMAT];
  argv.push("--field-selector=status.phase=Running", "--request-timeout=30s");
  if (namespace === "*") argv.push("--all-namespaces");
  else if (namespace !== "") argv.push(`--namespace=${namespace}`);
  if (isSelector) argv.push(`--selector=${rest}`);
  const output = await runSource(cannot(text), argv, signal);
  const lines = output
    .split("\n")
    .filter((line) => /^[a-z0-9-]+\/[a-z0-9.-]+$/.test(line) && isBareName(line));
  const found = lines.map((line) => line.split("/") as [string, string]);
  const isMatch = names.map(globMatcher);
  const hosts = found.filter(([, pod]) => isMatch.some((matches) => matches(pod)));
  return hosts.map(([from, pod]) => host(namespace === "" ? "" : from, pod));
}

/** Those of `known` that one of the names means, in the order of `known`. */
function matching(names: readonly string[], known: readonly string[]): string[] {
  const plain = new Set(names.filter((name) => !isGlob(name)));
  const globs = names.filter(isGlob).map(globMatcher);
  return [...new Set(known)].filter((each) => plain.has(each) || globs.some((matches) => matches(each)));
}

function cannot(text: string): string {
  return `Cannot select ${quote(text)}`;
}
