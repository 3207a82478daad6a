/** Plays rounds at all places at once, each in its own contexts. */
import { type Context, type LogRecord, onLog, Router, Sender } from "../../src/index.ts";
import { Random } from "../support/random.ts";
import { Modules } from "./modules.ts";
import { PLACES, type Place } from "./places.ts";
import { planOf } from "./plan.ts";
import { Round, type Stage } from "./round.ts";

/** A context sees so many rounds. It keeps its ways and its modules from one to the next. */
const ROUNDS_OF_CONTEXT = 8;
/** So many rounds the contexts of all places see together. The places take turns, round by round. */
export const ROUNDS_OF_ALL: number = ROUNDS_OF_CONTEXT * PLACES.length;
const ROUND_MS = 120_000;
/** How many numbers are set aside for the calls of a round. */
const ROUND_NUMBERS = 1_000;

export interface Played {
  readonly round: number;
  readonly place: string;
  readonly ms: number;
  readonly counts: Counts;
  readonly broken: readonly string[];
}

/** What a round, or many, consisted of. */
export interface Counts {
  calls: number;
  inNewModules: number;
  inChains: number;
  givenUp: number;
  neverBegun: number;
  lines: number;
  messages: number;
  large: number;
}

export interface Settings {
  readonly seed: number;
  /** The first round. A context of a place begins at a multiple of {@link ROUNDS_OF_ALL}. */
  readonly first?: number;
  readonly rounds: number;
  readonly nodePath?: string;
  readonly hasTopLevelAwait?: boolean;
  onPlayed(played: Played): void;
  isOver?(): boolean;
}

export async function playRounds(settings: Settings): Promise<void> {
  const modules = new Modules();
  const router = new Router();
  // Contexts forward only logs for which there was a sink when they were connected.
  const stopLog = onLog((record) => takeRecord(record), { level: "info" });
  try {
    await Promise.all(PLACES.map((place, index) => playAt(place, index, router, modules, settings)));
  } finally {
    stopLog();
    await router.shutdown();
    modules.remove();
  }
}

async function playAt(
  place: Place,
  index: number,
  router: Router,
  modules: Modules,
  settings: Settings,
): Promise<void> {
  const { seed, first = 0, rounds, nodePath = process.execPath, hasTopLevelAwait = true } = settings;
  let life: Life | undefined;
  for (let round = first; round < first + rounds && settings.isOver?.() !== true; round++) {
    if (round % PLACES.length !== index) continue;
    if (life === undefined || round % ROUNDS_OF_ALL < PLACES.length) {
      await life?.end();
      life = new Life(await place.connect(router, nodePath), modules, hasTopLevelAwait);
    }
    const played = await life.play(seed, round);
    settings.onPlayed({ ...played, round, place: place.name });
    if (played.broken.length === 0) continue;
    await life.end();
    life = undefined;
  }
  await life?.end();
}

const lives: Map<Context, Life> = new Map();

function takeRecord(record: LogRecord): void {
  const { mitogenContext, mitogenName } = record;
  if (mitogenName !== "stdout" && mitogenName !== "stderr") return;
  lives.get(mitogenContext as Context)?.takeLine(mitogenName, record);
}

/** A context, and the rounds that are played there one after the other. */
class Life {
  readonly #stage: Stage;
  readonly #handle: number;
  #round: Round | undefined;

  constructor(context: Context, modules: Modules, hasTopLevelAwait: boolean) {
    const { router } = context;
    this.#handle = router.addHandler((message) => this.#round?.arrivals.takeTally(message));
    const tally = new Sender<[number, number]>(router, router.contextId, this.#handle);
    this.#stage = { context, modules, hasTopLevelAwait, tally };
    lives.set(context, this);
  }

  takeLine(stream: "stdout" | "stderr", record: LogRecord): void {
    this.#round?.arrivals.takeLine(stream, record);
  }

  async play(seed: number, number: number): Promise<Pick<Played, "ms" | "counts" | "broken">> {
    const started = performance.now();
    const events = planOf(new Random(seed + number), number * ROUND_NUMBERS);
    const round = new Round(this.#stage);
    this.#round = round;
    const broken: string[] = [];
    const watch = setTimeout(() => {
      broken.push(`it is not over after ${ROUND_MS} ms; what has not come:\n  ${round.missing}`);
      // Waiting calls fail then.
      void this.#stage.context.shutdown();
    }, ROUND_MS);
    try {
      broken.push(...(await round.play(events)));
    } catch (error) {
      broken.push(...round.broken, String((error as Error).stack));
    } finally {
      clearTimeout(watch);
    }
    return { ms: performance.now() - started, counts: countsOf(round), broken };
  }

  async end(): Promise<void> {
    const { context } = this.#stage;
    // The context above was started only for this one.
    await (context.via ?? context).shutdown();
    lives.delete(context);
    context.router.delHandler(this.#handle);
  }
}

function countsOf({ calls, arrivals, posts, marks, notes }: Round): Counts {
  const events = [...calls.values()].map(({ event }) => event);
  const count = (isMeant: (event: (typeof events)[number]) => boolean): number =>
    events.filter(isMeant).length;
  const isLarge = (bytes: number): boolean => bytes > 100_000;
  return {
    calls: calls.size,
    inNewModules: count(({ module }) => module !== "own"),
    inChains: count(({ chain }) => chain !== undefined),
    givenUp: count(({ givenUp }) => givenUp !== undefined),
    neverBegun: calls.size - (notes?.marks.length ?? 0),
    lines: [...arrivals.lines.values()].reduce((sum, lines) => sum + lines, 0),
    messages: arrivals.tallied + arrivals.bulky + marks + posts.reduce((sum, sent) => sum + sent, 0),
    large: count(({ argumentBytes, work }) => isLarge(argumentBytes) || isLarge(work.resultBytes)),
  };
}

/** The sum of all counts. */
export function sumOf(all: readonly Counts[]): Counts {
  const sum: Counts = {
    calls: 0,
    inNewModules: 0,
    inChains: 0,
    givenUp: 0,
    neverBegun: 0,
    lines: 0,
    messages: 0,
    large: 0,
  };
  for (const counts of all) {
    for (const name of Object.keys(sum) as (keyof Counts)[]) sum[name] += counts[name];
  }
  return sum;
}
