#!/usr/bin/env node
/** The program `mitogen`. */
import { Terminal } from "../screen/terminal.ts";
import { runCommandLine } from "./command-line.ts";
import { stopOnSignals } from "./signals.ts";

const { signal, stop, isInterrupted } = stopOnSignals();
const out = new Terminal(process.stdout, process.stderr, process.env, stop);
// What a configuration or a task's module left running does not hold the program.
void runCommandLine(process.argv.slice(2), out, signal, isInterrupted).then((status) => process.exit(status));
