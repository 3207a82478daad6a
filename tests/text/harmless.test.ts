import assert from "node:assert/strict";
import { test } from "node:test";
import { oneLine, showControls, withoutControls } from "../../src/text/harmless.ts";

/** Each of these moves the cursor, changes the title, makes the terminal answer, or turns text around. */
const ATTACKS = [
  "\x1b[2J\x1b[H",
  "\x1b]0;title\x07",
  "\x1b]52;c;cm0gLXJm\x07",
  '\x1bP$q"p\x1b\\',
  "\x9b2J",
  "\x9d0;title\x9c",
  "\b\b\b\b",
  "\x7f",
  "\u202egnp.exe",
  "\u2066\u2069\u200f\u061c",
  "\x1b[6n",
  "\x1b[1A",
];

test("oneLine and showControls escape everything that a terminal acts on", () => {
  for (const attack of ATTACKS) {
    for (const shown of [oneLine(attack), showControls(attack, "\n")]) {
      assert.doesNotMatch(shown, /[\p{Cc}\p{Bidi_Control}]/u, JSON.stringify(attack));
      assert.match(shown, /\\u[\da-f]{4}/);
    }
  }
  assert.equal(oneLine("a\x1b[31mb\tc\nd\u2028e"), "a\\u001b[31mb\\u0009c\\u000ad\\u2028e");
  assert.equal(oneLine("a\nb\x9b", "?"), "a?b?");
});

test("showControls keeps tabs and colours, which end with the text", () => {
  assert.equal(showControls("\ta\x1b[1;31mred", "\n"), "\ta\x1b[1;31mred\x1b[0m");
  assert.equal(showControls("\x1b[38:2:1:2:3mred\x1b[0m", "\n"), "\x1b[38:2:1:2:3mred\x1b[0m");
  assert.equal(showControls("\x1b[31m\x1b[2J", "\n"), "\x1b[31m\\u001b[2J\x1b[0m");
  assert.equal(showControls("\x1b[31", "\n"), "\\u001b[31");
  assert.equal(showControls("plain ü 你好 👩‍👩‍👧", "\n"), "plain ü 你好 👩‍👩‍👧");
});

test("showControls turns line ends of every kind into ours", () => {
  assert.equal(showControls("a\nb\r\nc\rd\x85e\u2028f\u2029g\vh\fi", "|"), "a|b|c|d|e|f|g|h|i");
  assert.equal(showControls("progress\rdone\r", "|"), "progress|done");
  assert.equal(showControls("a\n\n\r\r\nb\x01\n", "|"), "a||||b\\u0001|");
});

test("withoutControls leaves only the readable text", () => {
  assert.equal(withoutControls("\r\x1b[1mdoas\x1b[0m (a@b) password: \u202e\x07"), "doas (a@b) password: ");
  for (const attack of ATTACKS) assert.doesNotMatch(withoutControls(attack), /[\p{Cc}\p{Bidi_Control}]/u);
});
