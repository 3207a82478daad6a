import { show } from "../../options/options.ts";
import { Secret } from "../../wire/values/secret.ts";
import type { StepEntry, Variables } from "../config/config.ts";
import { InventoryError, quote } from "../config/inventory-error.ts";

type Options = Readonly<Record<string, unknown>>;

/** Ansible's connection plugins, with and without their collections, and the method that does the same. */
const CONNECTIONS: Readonly<Record<string, string>> = {
  ssh: "ssh",
  smart: "ssh",
  paramiko: "ssh",
  paramiko_ssh: "ssh",
  local: "local",
  docker: "docker",
  docker_api: "docker",
  podman: "podman",
  buildah: "buildah",
  kubectl: "kubectl",
  lxc: "lxc",
  lxd: "lxd",
  incus: "incus",
  jail: "jail",
};

/** The steps that Ansible's variables of one host describe. `where` begins errors. */
export function ansibleSteps(where: string, name: string, vars: Variables): StepEntry[] {
  const read = new Reader(where, vars);
  const connection = read.text("ansible_connection") ?? "ssh";
  const method = CONNECTIONS[connection.slice(connection.lastIndexOf(".") + 1)];
  if (method === undefined || !Object.hasOwn(CONNECTIONS, connection.slice(connection.lastIndexOf(".") + 1)))
    throw new InventoryError(
      `${where}: there is no method for ansible_connection ${quote(connection)}; known are ${Object.keys(CONNECTIONS).join(", ")}`,
    );
  const steps = [{ [method]: withoutUndefined(connectOptions(method, name, read)) }];
  if (read.flag("ansible_become") === true) steps.push(becomeStep(where, read));
  return steps as unknown as StepEntry[];
}

function connectOptions(method: string, name: string, read: Reader): Options {
  const host = read.text("ansible_host", "ansible_ssh_host");
  const username = read.text("ansible_user", "ansible_ssh_user");
  if (method === "local") return {};
  if (method === "ssh") {
    const sshArgs = ["ansible_ssh_args", "ansible_ssh_common_args", "ansible_ssh_extra_args"].flatMap(
      (each) => splitWords(read.where, each, read.text(each) ?? ""),
    );
    const isChecked = read.flag("ansible_host_key_checking", "ansible_ssh_host_key_checking");
    return {
      hostname: host,
      username,
      port: read.number("ansible_port", "ansible_ssh_port"),
      password: read.secret("ansible_password", "ansible_ssh_pass", "ansible_ssh_password"),
      identityFile: read.text("ansible_private_key_file", "ansible_ssh_private_key_file"),
      sshPath: read.text("ansible_ssh_executable"),
      checkHostKeys: isChecked === false ? "ignore" : undefined,
      sshArgs: sshArgs.length > 0 ? sshArgs : undefined,
    };
  }
  if (method === "kubectl") {
    const args = [
      ["--kubeconfig", read.text("ansible_kubectl_kubeconfig")],
      ["--context", read.text("ansible_kubectl_context")],
      ["--namespace", read.text("ansible_kubectl_namespace")],
    ] as const;
    const kubectlArgs = args.flatMap(([flag, value]) => (value === undefined ? [] : [`${flag}=${value}`]));
    return {
      pod: read.text("ansible_kubectl_pod") ?? host ?? name,
      container: read.text("ansible_kubectl_container"),
      kubectlArgs: kubectlArgs.length > 0 ? kubectlArgs : undefined,
    };
  }
  const hasUser = method === "docker" || method === "podman" || method === "buildah";
  return { container: host ?? name, username: hasUser ? username : undefined };
}

function becomeStep(where: string, read: Reader): Readonly<Record<string, Options>> {
  const method = read.text("ansible_become_method") ?? "sudo";
  const username = read.text("ansible_become_user");
  const password = read.secret("ansible_become_password", "ansible_become_pass", `ansible_${method}_pass`);
  const path = read.text("ansible_become_exe");
  const sudoArgs = splitWords(where, "ansible_become_flags", read.text("ansible_become_flags") ?? "");
  const short = method.slice(method.lastIndexOf(".") + 1);
  const common = { username, password };
  if (short === "sudo")
    return {
      sudo: withoutUndefined({
        ...common,
        sudoPath: path,
        sudoArgs: sudoArgs.length > 0 ? sudoArgs : undefined,
      }),
    };
  if (short === "su") return { su: withoutUndefined({ ...common, suPath: path }) };
  if (short === "doas") return { doas: withoutUndefined({ ...common, doasPath: path }) };
  throw new InventoryError(
    `${where}: there is no method for ansible_become_method ${quote(method)}; known are sudo, su, doas`,
  );
}

/** Reads variables under any of their names. */
class Reader {
  readonly where: string;
  readonly #vars: Variables;

  constructor(where: string, vars: Variables) {
    this.where = where;
    this.#vars = vars;
  }

  text(...names: string[]): string | undefined {
    const [name, value] = this.#find(names);
    if (value === undefined || typeof value === "string") return value;
    if (typeof value === "number") return String(value);
    throw new InventoryError(`${this.where}: ${name} must be a string, got ${show(value)}`);
  }

  secret(...names: string[]): Secret | undefined {
    const [name, value] = this.#find(names);
    if (value === undefined) return undefined;
    if (typeof value === "string" || typeof value === "number") return new Secret(String(value));
    throw new InventoryError(`${this.where}: ${name} must be a string`);
  }

  number(...names: string[]): number | undefined {
    const text = this.text(...names);
    if (text === undefined || /^\d{1,5}$/.test(text)) return text === undefined ? undefined : Number(text);
    throw new InventoryError(`${this.where}: ${names[0]} must be a number, got ${quote(text)}`);
  }

  /** In YAML and INI files, flags have many spellings. */
  flag(...names: string[]): boolean | undefined {
    const [name, value] = this.#find(names);
    if (value === undefined || typeof value === "boolean") return value;
    const word = String(value).toLowerCase();
    if (["true", "yes", "on", "1", "y", "t"].includes(word)) return true;
    if (["false", "no", "off", "0", "n", "f"].includes(word)) return false;
    throw new InventoryError(`${this.where}: ${name} must be true or false, got ${show(value)}`);
  }

  #find(names: readonly string[]): [name: string, value: unknown] {
    for (const name of names) {
      const value = Object.hasOwn(this.#vars, name) ? this.#vars[name] : undefined;
      if (value === undefined || value === null || value === "") continue;
      if (typeof value === "string" && /\{[{%]/.test(value))
        throw new InventoryError(`${this.where}: ${name} is a template, which only Ansible can evaluate`);
      if (typeof value === "object" && "__ansible_vault" in value)
        throw new InventoryError(
          `${this.where}: ${name} is encrypted with ansible-vault, which only Ansible can read`,
        );
      return [name, value];
    }
    return [names[0] as string, undefined];
  }
}

/** Words as a POSIX shell splits them, without expansions. */
function splitWords(where: string, name: string, line: string): string[] {
  const words = line.match(/(?:[^\s"'\\]|\\.|"(?:[^"\\]|\\.)*"|'[^']*')+|\S/g) ?? [];
  return words.map((word) => {
    if (/^["'\\]$/.test(word)) throw new InventoryError(`${where}: ${name} has a quote that is not closed`);
    return word.replace(
      /"((?:[^"\\]|\\.)*)"|'([^']*)'|\\(.)/g,
      (_, double: string, single: string, char: string) =>
        double === undefined ? (single ?? char) : double.replace(/\\(["\\$`])/g, "$1"),
    );
  });
}

function withoutUndefined(options: Options): Options {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
}
