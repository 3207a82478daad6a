#!/usr/bin/env node
/** The command line `mitogen`. */
import { ExitStatus } from "./exit-status.ts";

process.stderr.write("mitogen: no command is known\n");
process.exitCode = ExitStatus.Usage;
