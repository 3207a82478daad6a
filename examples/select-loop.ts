/** One loop waits for everything: the progress of several jobs, their results, and a timeout when nothing arrives for a while. */

import { setTimeout as sleep } from "node:timers/promises";
import { Receiver, type Router, runWithRouter, Select, type Sender, TimeoutError } from "mitogen";

const JOBS = ["fetch", "unpack", "index"];
const QUIET_MS = 100;

export interface Progress {
  job: string;
  percent: number;
}

/** Works in four steps of `stepMs`, and sends its progress. */
export async function work(job: string, stepMs: number, progress: Sender<Progress>): Promise<string> {
  for (const percent of [25, 50, 75, 100]) {
    await sleep(stepMs);
    await progress.send({ job, percent });
  }
  return `${job} is done`;
}

async function main(router: Router): Promise<void> {
  const contexts = await Promise.all(JOBS.map((job) => router.local({ remoteName: job })));

  const progress = new Receiver<Progress>(router);
  const calls = contexts.map((context, index) =>
    context.callAsync(work, JOBS[index] as string, 150 * (index + 1), progress.toSender()),
  );
  // A call leaves its Select after its one message. The Select of calls stays a source of the outer Select.
  const results = new Select<string>(calls);
  const all = new Select<string | Progress>([results, progress], { oneshot: false });

  let quietTimes = 0;
  const done: string[] = [];
  while (done.length < contexts.length) {
    const event = await all.getEvent({ timeoutMs: QUIET_MS }).catch(whenQuiet);
    if (event === undefined) {
      quietTimes += 1;
    } else if (event.source === progress) {
      const { job, percent } = event.data.decode() as Progress;
      console.log(`${job}: ${percent}%`);
    } else {
      const result = event.data.decode() as string;
      done.push(result);
      console.log(`${result}, says context ${contexts.indexOf(event.data.context) + 1}`);
    }
  }
  console.log(quietTimes > 0 ? "it was quiet at times" : "it was never quiet");
  all.close();
  progress.close();
}

/** Returns undefined for a timeout, which the loop expects. Throws every other error. */
function whenQuiet(error: unknown): undefined {
  if (!(error instanceof TimeoutError)) throw error;
}

await runWithRouter(main);
