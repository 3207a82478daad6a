import assert from "node:assert/strict";
import { test } from "node:test";
import { STAGE_0 } from "../../../src/bootstrap/command.ts";
import { crashHint, waitingHint } from "../../../src/connection/failures/exit-hint.ts";
import { readableWords } from "../../../src/connection/failures/last-words.ts";

test("crashHint tells from node's last words what its machine lacks", () => {
  const cases: [text: string, code: number | null, hint: RegExp][] = [
    ["Error: ENOENT: no such file or directory, uv_cwd", 137, /directory .* no longer exists/],
    ["Worker initialization failure: EMFILE", 137, /descriptors .*ulimit -n/],
    ["Assertion failed: (0) == (uv_loop_init(&loop_))", 134, /descriptors .*ulimit -n/],
    ["Assertion failed: (0) == (uv_thread_create(t.get(), start_thread, this))", 134, /threads .*ulimit -u/],
    ["6a27e85fd73bdac5: 1: Cannot fork", 2, /processes .*ulimit -u/],
    ["Fatal process OOM in Failed to reserve virtual memory for CodeRange", 133, /memory .*ulimit -v/],
    ["Error: Decompression failed", 1, /another program there read or closed its input/],
    ["Error: Cannot find module '/x.js'\nRequire stack:\n- internal/preload", 1, /NODE_OPTIONS/],
    ["/usr/bin/node: --nope is not allowed in NODE_OPTIONS", 9, /NODE_OPTIONS/],
    ["Segmentation fault", 139, /node crashed/],
    ["", null, /^$/],
    ["permission denied", 1, /^$/],
  ];
  for (const [text, code, hint] of cases) assert.match(crashHint(text, code), hint);
});

test("crashHint finds no reason in the text of stage 1 itself", () => {
  const stage1 = /"(\{let\{versions.*)" \$0 \$l/.exec(STAGE_0)?.[1] as string;
  assert.match(stage1, /EAG/);
  const said = `[eval]:1\n${stage1.replace(/\\"/g, '"')}\n    ^\nTypeError: x`;
  assert.equal(crashHint(readableWords(said), 1), "");
});

test("waitingHint tells what a node waits for", () => {
  assert.match(waitingHint(""), /says nothing: .*ulimit/);
  assert.match(
    waitingHint("Debugger listening on ws://127.0.0.1:9229/x\nFor help"),
    /debugger .*NODE_OPTIONS=/,
  );
  assert.equal(waitingHint("something else"), "");
});
