import assert from "node:assert/strict";
import { test } from "node:test";
import { endsWithPrompt, isPasswordPrompt } from "../../../src/connection/prompts/password-prompt.ts";

test("isPasswordPrompt knows the question in many languages, with every kind of colon and space", () => {
  for (const text of [
    "Password:",
    "Password: ",
    "password for ada: ",
    "ada@web1's password: ",
    "(ada@web1) Password: ",
    "doas (ada@web1) password: ",
    "Mot de passe\u00a0: ",
    "Mot de passe : ",
    "Passwort: ",
    "Passwort für ada: ",
    "Contraseña: ",
    "Contrasen\u0303a: ",
    "密码：",
    "密碼: ",
    "パスワード：",
    "암호: ",
    "Пароль: ",
    "Hasło: ",
    "Lösenord: ",
    "Slaptažodis: ",
  ]) {
    assert.ok(isPasswordPrompt(text), text);
  }
});

test("isPasswordPrompt takes neither sentences nor other questions for a password prompt", () => {
  for (const text of [
    "",
    ":",
    "Password",
    "Your password will expire in 3 days",
    "Last login:",
    "Verification code: ",
    "Password: ****",
    `the password policy says ${"x".repeat(100)}: `,
  ]) {
    assert.ok(!isPasswordPrompt(text), text);
  }
});

test("endsWithPrompt ignores case and the spaces around", () => {
  assert.ok(endsWithPrompt("Enter PIN for bob:  ", "pin for bob: "));
  assert.ok(!endsWithPrompt("Enter PIN for bob: 1", "pin for bob:"));
  assert.ok(!endsWithPrompt("anything", "  "));
});
