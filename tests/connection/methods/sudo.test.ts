import assert from "node:assert/strict";
import { test } from "node:test";
import { isSudoPrompt } from "../../../src/connection/methods/sudo.ts";

const TOKEN = "mitogen-sudo-01234567:";

test("isSudoPrompt knows its own prompt at the very end of the text", () => {
  assert.ok(isSudoPrompt(TOKEN, TOKEN));
  assert.ok(isSudoPrompt(`lecture without a line end ${TOKEN}`, TOKEN));
  for (const text of [
    "",
    TOKEN.slice(0, -1),
    `${TOKEN} `,
    `${TOKEN}*`,
    "mitogen-sudo-76543210:",
    "Password: ",
  ]) {
    assert.ok(!isSudoPrompt(text, TOKEN), text);
  }
});

test("isSudoPrompt knows the form of sudo-rs: its own prompt, then 1 to 50 characters in any language", () => {
  for (const words of ["P", "Password: ", "Mot de passe\u00a0: ", "パスワード：", "x".repeat(50)]) {
    assert.ok(isSudoPrompt(`[sudo: ${TOKEN}] ${words}`, TOKEN), words);
  }
  for (const words of ["", "x".repeat(51), "Password: *", "*", "a\nb", "Password: \n"]) {
    assert.ok(!isSudoPrompt(`[sudo: ${TOKEN}] ${words}`, TOKEN), words);
  }
  assert.ok(!isSudoPrompt(`[sudo: ${TOKEN}]`, TOKEN));
  assert.ok(!isSudoPrompt(`(sudo: ${TOKEN}] Password: `, TOKEN));
});
