/**
 * npm run chaos [-- --seed N --rounds N --minutes N --lanes N --json]: rounds until one is broken and the time is up. As root it
 * has a pid namespace of its own, which shows every process that is left at the end.
 */
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { type Plan, planOf } from "./plan.ts";
import { playRound } from "./round.ts";
import { left, processesWith } from "./table.ts";

const SETTLE_MS = 8_000;
const IN_NAMESPACE = "MITOGEN_CHAOS_NAMESPACE";

export interface Played {
  readonly round: number;
  readonly plan: Plan;
  readonly broken: readonly string[];
}

const { values } = parseArgs({
  options: {
    seed: { type: "string" },
    rounds: { type: "string" },
    first: { type: "string", default: "0" },
    minutes: { type: "string", default: "30" },
    lanes: { type: "string", default: "3" },
    json: { type: "boolean", default: false },
  },
});

if (process.env[IN_NAMESPACE] === undefined && process.getuid?.() === 0) {
  const unshare = ["--pid", "--fork", "--mount-proc", "--kill-child"];
  if (spawnSync("unshare", [...unshare, "true"]).status === 0) {
    // A shell is the first process, because it reaps orphans.
    const script = '"$@" & wait $!';
    const self = [process.execPath, fileURLToPath(import.meta.url), ...process.argv.slice(2)];
    const { status } = spawnSync("unshare", [...unshare, "sh", "-c", script, "sh", ...self], {
      stdio: "inherit",
      env: { ...process.env, [IN_NAMESPACE]: "1" },
    });
    process.exit(status ?? 1);
  }
}

const seed = Number(values.seed ?? Date.now() % 2 ** 31);
const first = Number(values.first);
const isLong = values.rounds === undefined;
const rounds = isLong ? Number.POSITIVE_INFINITY : Number(values.rounds);
const deadline = Date.now() + Number(values.minutes) * 60_000;
const say = values.json ? console.error : console.log;
const played: Played[] = [];
let next = first;

say(
  `seed ${seed}, ${process.env[IN_NAMESPACE] ? "in a process table of its own" : "known by its environment"}`,
);
await Promise.all(Array.from({ length: Number(values.lanes) }, lane));
for (const { pid, command } of await left(() => tableOfAll(), SETTLE_MS)) {
  played.push({
    round: -1,
    plan: planOf(seed, 0, false),
    broken: [`at the end process ${pid} is left: ${command}`],
  });
}
if (values.json) console.log(JSON.stringify(played));
const count = played.filter(({ broken }) => broken.length > 0).length;
say(`${played.length} rounds, ${count} broken`);
if (count > 0) process.exitCode = 1;

async function lane(): Promise<void> {
  while (next < first + rounds && Date.now() < deadline) {
    const round = next++;
    const plan = planOf(seed, round, isLong);
    const broken = await playRound(plan, `${seed}-${round}-${process.pid}`);
    played.push({ round, plan, broken });
    const { operation, victim, action, delayMs } = plan;
    const what = `round ${round}: ${action} of the ${victim} ${delayMs} ms into ${operation}${plan.killsProgram ? ", then SIGKILL of the program" : ""}`;
    if (broken.length === 0) say(what);
    else {
      say(`BROKEN ${what}\n  ${broken.join("\n  ")}`);
      say(`  repeat: npm run chaos -- --seed ${seed} --first ${round} --rounds 1`);
    }
  }
}

/** Only in a pid namespace of its own. Elsewhere, each round has looked for its own processes. */
function tableOfAll() {
  return process.env[IN_NAMESPACE] === undefined ? [] : processesWith();
}
