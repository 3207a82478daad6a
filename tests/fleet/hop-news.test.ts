import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { HopNews } from "../../src/fleet/hop-news.ts";
import type { Host, Step } from "../../src/fleet/index.ts";

const HOUR_MS = 3_600_000;

function host(...steps: Step[]): Host {
  return { name: "web1", groups: [], vars: {}, steps };
}

function wait(news: HopNews, ms: number): void {
  news.noteWait(performance.now() - ms);
}

describe("HopNews", () => {
  it("limits a hop by the longest step of its hosts, and by the pauses before retries", () => {
    const hosts = [
      host({ local: {} }),
      host({ local: { timeoutMs: 1000 } }, { local: { timeoutMs: 70_000 } }),
    ];
    assert.equal(new HopNews(hosts, { concurrency: 1, retries: 0 }).limitMs, 4 * 70_000 + 15_000);
    assert.equal(new HopNews(hosts, { concurrency: 1, retries: 1 }).limitMs, 4 * 70_000 + 30_000);
    assert.equal(new HopNews(hosts.slice(0, 1), { concurrency: 1, retries: 0 }).limitMs, 135_000);
    assert.equal(
      new HopNews(hosts, { concurrency: 1, retries: 0, timeoutMs: 80_000 }).limitMs,
      4 * 80_000 + 15_000,
    );
  });

  it("has a limit for a hop without hosts", () => {
    assert.equal(new HopNews([], { concurrency: 1, retries: 0 }).leftMs, 15_000);
  });

  it("counts the time from the last news", () => {
    const news = new HopNews([host({ local: {} })], { concurrency: 1, retries: 0 });
    wait(news, 100_000);
    assert.ok(news.leftMs > 0 && news.leftMs <= 35_000);
    news.noteStep();
    wait(news, 100_000);
    assert.ok(news.leftMs > 0);
    wait(news, 35_000);
    assert.equal(news.leftMs, 0);
    news.noteEnd();
    assert.equal(news.leftMs, 135_000);
  });

  it("counts steps as news for an hour after the last end", () => {
    const news = new HopNews([host({ local: { timeoutMs: HOUR_MS } })], { concurrency: 1, retries: 0 });
    for (let hour = 0; hour < 2; hour++) {
      wait(news, HOUR_MS - 1000);
      news.noteStep();
      assert.equal(news.leftMs, news.limitMs);
      wait(news, 2000);
      news.noteStep();
      assert.ok(news.leftMs < news.limitMs);
      news.noteEnd();
      assert.equal(news.leftMs, news.limitMs);
    }
  });
});
