import { execFile } from "node:child_process";
import { lookup } from "node:dns/promises";
import { connect, isIP } from "node:net";
import type { SshOptions } from "../../connection/methods/ssh.ts";
import { quoteForSh } from "../../text/shell-quote.ts";
import { type Finding, well, wrong } from "./finding.ts";

const TIMEOUT_MS = 10_000;
const MAX_BYTES = 1024 * 1024;
/** An ssh server may send other lines before its version. Whatever sends more than this is not an ssh server. */
const MAX_BANNER = 16 * 1024;

/**
 * Checks what ssh needs before it can log in: the client, its configuration, the name, the port. Stops at the first
 * fault. Asks ssh itself for the settings that ssh_config gives the host.
 */
export async function* checkSsh(options: SshOptions, signal: AbortSignal): AsyncGenerator<Finding> {
  const { sshPath = "ssh", sshArgs = [], hostname, username, port } = options;
  const version = await output(sshPath, ["-V"], signal);
  if (version.error !== undefined) {
    yield wrong(
      "ssh",
      `${sshPath} cannot be started: ${version.error}`,
      "install OpenSSH's client, or set sshPath",
    );
    return;
  }
  yield well("ssh", version.text.trim());
  const user = username === undefined ? [] : ["-l", username];
  const args = ["-G", ...user, ...(port === undefined ? [] : ["-p", String(port)]), ...sshArgs, hostname];
  const config = await output(sshPath, args, signal);
  if (config.error !== undefined) {
    yield wrong(
      "ssh_config",
      config.text.trim() || config.error,
      "correct ssh_config or sshArgs",
      [sshPath, ...args].map(quoteForSh).join(" "),
    );
    return;
  }
  const found = new Map(config.text.split("\n").map((line) => split(line)));
  const target = { host: found.get("hostname") ?? hostname, port: Number(found.get("port") ?? port ?? 22) };
  const proxy = [found.get("proxyjump"), found.get("proxycommand")].find(
    (value) => value !== undefined && value !== "none",
  );
  const through = proxy === undefined ? "" : `, through ${proxy}`;
  yield well("ssh_config", `${found.get("user") ?? ""}@${target.host} port ${target.port}${through}`);
  // A proxy looks up the name and connects elsewhere.
  if (proxy === undefined) yield* checkServer(target, signal);
}

/** A command that logs in as the library does, and looks for node. */
export function sshByHand({
  sshPath = "ssh",
  sshArgs = [],
  hostname,
  username,
  port,
  identityFile,
}: SshOptions): string {
  const args = [
    ...(username === undefined ? [] : ["-l", username]),
    ...(port === undefined ? [] : ["-p", String(port)]),
    ...(identityFile === undefined ? [] : ["-i", identityFile]),
  ];
  return [sshPath, ...args, ...sshArgs, hostname, "node", "--version"].map(quoteForSh).join(" ");
}

async function* checkServer(
  target: { host: string; port: number },
  signal: AbortSignal,
): AsyncGenerator<Finding> {
  const { host, port } = target;
  if (isIP(host) === 0) {
    try {
      const addresses = await lookup(host, { all: true });
      yield well("name", `${host} is ${addresses.map(({ address }) => address).join(", ")}`);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      yield wrong(
        "name",
        `${host} has no address: ${code}`,
        "correct the host's name, or give its address as hostname in the inventory or as HostName in ssh_config",
        `getent hosts ${quoteForSh(host)}`,
      );
      return;
    }
  }
  const greeting = await greetingOf(host, port, signal);
  if (greeting.text?.startsWith("SSH-")) yield well("port", `${port} answers: ${greeting.text}`);
  else if (greeting.text !== undefined) {
    yield wrong(
      "port",
      `${port} is not an ssh server: it says "${greeting.text.slice(0, 100)}"`,
      "correct the port in the inventory or in ssh_config",
    );
  } else {
    yield wrong(
      "port",
      `${host} port ${port} ${inWords(greeting.error)}`,
      cureOf(greeting.error),
      `nc -vz ${quoteForSh(host)} ${port}`,
    );
  }
}

function inWords(error = ""): string {
  if (error === "ECONNREFUSED") return "refuses connections";
  return error === "EHOSTUNREACH" || error === "ENETUNREACH"
    ? "cannot be reached"
    : `does not answer: ${error}`;
}

function cureOf(error: string | undefined): string {
  if (error === "ECONNREFUSED") return "start sshd there, or correct the port; the machine itself answers";
  if (error === "ECONNRESET" || error === "it closed the connection") {
    return "check the log of sshd there: MaxStartups, PerSourcePenalties, hosts.deny or a full disk end connections like this";
  }
  return "the machine is off, its address is wrong, or a firewall drops packets to this port";
}

/** The first line that a server sends. */
function greetingOf(
  host: string,
  port: number,
  signal: AbortSignal,
): Promise<{ text?: string; error?: string }> {
  return new Promise((resolve) => {
    let text = "";
    const socket = connect({ host, port, signal });
    const end = (result: { text?: string; error?: string }): void => {
      socket.destroy();
      resolve(result);
    };
    socket.setEncoding("latin1").setTimeout(TIMEOUT_MS);
    socket.on("data", (chunk) => {
      text += chunk;
      // The last line may be cut.
      const line = text
        .split(/\r?\n/)
        .slice(0, -1)
        .find((each) => each.startsWith("SSH-"));
      if (line !== undefined) end({ text: line });
      else if (text.length > MAX_BANNER) end({ text });
    });
    socket.on("timeout", () =>
      end(text === "" ? { error: `no answer within ${TIMEOUT_MS / 1000} s` } : { text }),
    );
    socket.on("error", (error: NodeJS.ErrnoException) => end({ error: error.code ?? error.message }));
    socket.on("end", () => end(text === "" ? { error: "it closed the connection" } : { text }));
  });
}

function output(
  file: string,
  args: readonly string[],
  signal: AbortSignal,
): Promise<{ text: string; error?: string }> {
  return new Promise((resolve) => {
    execFile(file, args, { signal, timeout: TIMEOUT_MS, maxBuffer: MAX_BYTES }, (error, stdout, stderr) => {
      const text = stdout + stderr;
      if (error === null) resolve({ text });
      else resolve({ text, error: String(error.code ?? error.message) });
    });
  });
}

function split(line: string): [string, string] {
  const space = line.indexOf(" ");
  return space < 0 ? [line, ""] : [line.slice(0, space), line.slice(space + 1)];
}
