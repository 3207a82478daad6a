import assert from "node:assert/strict";
import { test } from "node:test";
import { crashHint } from "../../src/connection/exit-hint.ts";

test("crashHint tells from node's last words what its machine lacks", () => {
  const cases: [text: string, code: number | null, hint: RegExp][] = [
    ["Error: ENOENT: no such file or directory, uv_cwd", 137, /directory .* no longer exists/],
    ["Worker initialization failure: EMFILE", 137, /descriptors .*ulimit -n/],
    ["Assertion failed: (0) == (uv_loop_init(&loop_))", 134, /descriptors .*ulimit -n/],
    ["Assertion failed: (0) == (uv_thread_create(t.get(), start_thread, this))", 134, /threads .*ulimit -u/],
    ["6a27e85fd73bdac5: 1: Cannot fork", 2, /processes .*ulimit -u/],
    ["Fatal process OOM in Failed to reserve virtual memory for CodeRange", 133, /memory .*ulimit -v/],
    ["Segmentation fault", 139, /node crashed/],
    ["", null, /^$/],
    ["permission denied", 1, /^$/],
  ];
  for (const [text, code, hint] of cases) assert.match(crashHint(text, code), hint);
});
