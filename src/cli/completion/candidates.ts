import { readdirSync, statSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { parse } from "es-module-lexer";
import { SOURCES } from "../../fleet/config/pattern.ts";
import { Inventory } from "../../fleet/inventory/inventory.ts";
import { sshHosts } from "../../fleet/inventory/ssh-config.ts";
import { withBusyLimit } from "../../process/busy-limit.ts";
import { oneLine } from "../../text/harmless.ts";
import { attempt } from "../../wire/values/thrown.ts";
import type { Command, CommandTable, Option, OptionTable } from "../command.ts";
import { ExitStatus } from "../exit-status.ts";
import { HELP_OPTION } from "../parse.ts";
import { readSource } from "../tasks/read-source.ts";

/** What may replace the word before the cursor. */
export interface Candidate {
  /** The whole word. */
  readonly word: string;
  /** What it is, in one line. */
  readonly about: string;
  /** Whether more may follow without a space: the rest of a path, or another host after a comma. */
  readonly isOpen?: boolean;
}

/** How many candidates a shell is given. */
const MAX_CANDIDATES = 5000;
/** How long a config may take to load while somebody waits for Tab. */
const TIMEOUT_MS = 10_000;
/** Options whose values are patterns of hosts, and those whose values are files. */
const HOSTS = ["on", "through"];
const FILES = ["inventory"];
/** Commands whose operands are files of this machine. */
const WITH_FILES = ["put", "sync"];
const SHELLS = ["bash", "zsh", "fish"];
const RUNTIME_ACTIONS = ["list", "add", "clear"];

/** What may replace the last of the words after `mitogen`. Never rejects because of the words. */
export async function candidates(
  words: readonly string[],
  table: CommandTable,
  signal: AbortSignal,
): Promise<Candidate[]> {
  const current = words.at(-1) ?? "";
  const all = await find(words.slice(0, -1), current, table, signal);
  const matches = all.filter(({ word }) => word.startsWith(current) && oneLine(word) === word);
  return matches.slice(0, MAX_CANDIDATES);
}

async function find(
  before: readonly string[],
  current: string,
  table: CommandTable,
  signal: AbortSignal,
): Promise<Candidate[]> {
  const [name = ""] = before;
  if (before.length === 0) return commandNames(table);
  const entry = Object.hasOwn(table, name) ? table[name] : undefined;
  if (entry === undefined) return [];
  if (before.includes("--")) return [];
  const { command } = await entry.load();
  const options: OptionTable = { ...command.options, ...HELP_OPTION };
  const inline = /^(--([\w-]+)=)/.exec(current);
  const previous = optionNamed(options, before.at(-1) ?? "");
  if (inline !== null) {
    const [, head = "", option = ""] = inline;
    const values = await valuesOf(option, current.slice(head.length), before, signal);
    return values.map((each) => ({ ...each, word: head + each.word }));
  }
  if (previous !== undefined && options[previous]?.type === "string")
    return await valuesOf(previous, current, before, signal);
  if (current.startsWith("-")) return optionNames(options, before);
  return operands(command, current, before, table);
}

function commandNames(table: CommandTable): Candidate[] {
  return Object.entries(table).map(([word, { summary }]) => ({ word, about: summary }));
}

function optionNames(options: OptionTable, before: readonly string[]): Candidate[] {
  const free = Object.entries(options).filter(
    ([name, { multiple }]) => multiple === true || !before.includes(`--${name}`),
  );
  return [...free.map(([name, { text }]) => ({ word: `--${name}`, about: text })), { word: "--", about: "" }];
}

/** The option that takes the next word as its value. */
function optionNamed(options: OptionTable, word: string): string | undefined {
  const isShort = (option: Option): boolean => option.short !== undefined && word === `-${option.short}`;
  return Object.entries(options).find(([name, option]) => word === `--${name}` || isShort(option))?.[0];
}

async function valuesOf(
  option: string,
  current: string,
  before: readonly string[],
  signal: AbortSignal,
): Promise<Candidate[]> {
  if (HOSTS.includes(option)) return await hosts(current, before, signal);
  if (FILES.includes(option)) return files(current, /\.(?:[cm]?js|m?ts|json)$/);
  if (option === "rerun") return [{ word: "failed", about: "hosts that were not ok in the last run" }];
  if (option === "provision") return ["cache", "memory"].map((word) => ({ word, about: "" }));
  return [];
}

/** Completes the last term of a pattern: hosts, groups behind "@", sources. Runs no source. */
async function hosts(current: string, before: readonly string[], signal: AbortSignal): Promise<Candidate[]> {
  const start = current.lastIndexOf(",") + 1;
  const operator = /^[!&]/.exec(current.slice(start))?.[0] ?? "";
  const head = current.slice(0, start) + operator;
  const term = current.slice(head.length);
  const open = (word: string, about: string): Candidate => ({ word: head + word, about, isOpen: true });
  if (term.startsWith("ssh:")) return sshNames().map((name) => open(`ssh:${name}`, "of ssh_config"));
  const sources = SOURCES.map((name) => open(name === "local" ? "local:3" : `${name}:`, "source"));
  const inventory = await loadInventory(before, signal);
  if (inventory === undefined) return sources;
  const groups = [...inventory.groupNames(), "all"].map((name) => open(`@${name}`, "group"));
  return [...inventory.hostNames().map((name) => open(name, "host")), ...groups, ...sources];
}

function sshNames(): string[] {
  try {
    return sshHosts();
  } catch {
    return [];
  }
}

/** The inventory that the command would use, without its inventory command. */
async function loadInventory(before: readonly string[], signal: AbortSignal): Promise<Inventory | undefined> {
  const at = before.lastIndexOf("--inventory");
  const inline = before.findLast((word) => word.startsWith("--inventory="));
  const path = inline?.slice("--inventory=".length) ?? (at < 0 ? undefined : before[at + 1]);
  const limit = AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)]);
  const load = () => Inventory.load(path, { signal: limit });
  try {
    return await withBusyLimit(load, TIMEOUT_MS, "mitogen: the config does not end", ExitStatus.Usage);
  } catch {
    return undefined;
  }
}

function operands(
  { name }: Command,
  current: string,
  before: readonly string[],
  table: CommandTable,
): Candidate[] {
  const plain = (words: readonly string[]): Candidate[] => words.map((word) => ({ word, about: "" }));
  if (name === "help") return before.length > 1 ? [] : commandNames(table);
  if (name === "completion") return before.length > 1 ? [] : plain(SHELLS);
  if (name === "runtime") return before.length > 1 ? files(current, /./) : plain(RUNTIME_ACTIONS);
  if (name === "run") return tasks(current);
  return WITH_FILES.includes(name) ? files(current, /./) : [];
}

/** Files of functions, and the functions of a file whose name is complete. */
function tasks(current: string): Candidate[] {
  const mark = current.indexOf("#");
  const file = mark < 0 ? current : current.slice(0, mark);
  if (/\.[cm]?[jt]s$/.test(file)) {
    const names = functionsOf(file).map((name) => ({ word: `${file}#${name}`, about: "function" }));
    if (names.length > 0 || mark >= 0) return names;
  }
  return files(current, /\.[cm]?[jt]s$/).filter(({ word }) => !word.endsWith(".d.ts"));
}

/** What an ES module exports by name. Nothing of it runs. */
function functionsOf(file: string): string[] {
  try {
    const found = parse(readSource(untilde(file)))[1];
    const names = found.flatMap((each) => (each.type === "reexport-all" || each.typeOnly ? [] : [each.name]));
    return names.filter((name) => name !== "options" && name !== "default");
  } catch {
    return [];
  }
}

/** The files and folders that a path may become. */
function files(current: string, pattern: RegExp): Candidate[] {
  const head = current.slice(0, current.lastIndexOf("/") + 1);
  const base = current.slice(head.length);
  const folder = untilde(head === "" ? "." : head);
  return entriesOf(folder).flatMap((name) => {
    if (name.startsWith(".") && !base.startsWith(".")) return [];
    // A link may lead in a circle, or to where this user may not look.
    if (attempt(() => statSync(join(folder, name)).isDirectory()) === true)
      return name === "node_modules" ? [] : [{ word: `${head}${name}/`, about: "folder", isOpen: true }];
    return pattern.test(name) ? [{ word: `${head}${name}`, about: "file", isOpen: true }] : [];
  });
}

function entriesOf(folder: string): string[] {
  try {
    return readdirSync(folder).sort();
  } catch {
    return [];
  }
}

function untilde(path: string): string {
  return path.startsWith("~/") ? join(homedir(), path.slice(1)) : path;
}
