// Our side: one router per row, and what rows do with the router.
import { noop } from "./functions.mjs";

export class Ours {
  router;

  constructor({ api }) {
    this.router = new api.Router();
  }

  /** A child that has answered once. */
  async warmChild(options = {}) {
    const child = await this.router.local(options);
    await child.call(noop);
    return child;
  }

  /** Milliseconds of `connect` and a first call. The child is gone before this resolves. */
  async timeStart(connect) {
    let child;
    const ms = await timed(async () => {
      child = await connect(this.router);
      await child.call(noop);
    });
    await child.shutdown({ wait: true });
    return ms;
  }

  async close() {
    await this.router.shutdown();
  }
}

/** Milliseconds that `work` took. */
export async function timed(work) {
  const start = performance.now();
  await work();
  return performance.now() - start;
}
