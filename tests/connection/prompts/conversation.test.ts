import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { inspect } from "node:util";
import type { BootLine, ConnectionMethod, ConnectOptions } from "../../../src/connection/methods/method.ts";
import { methods } from "../../../src/connection/methods/methods.ts";
import { Conversation } from "../../../src/connection/prompts/conversation.ts";
import type { Password, Verdict } from "../../../src/connection/prompts/dialogue.ts";
import { HostKeyError, PasswordError, StreamError } from "../../../src/errors.ts";
import { Secret } from "../../../src/wire/values/secret.ts";

const BOOT: BootLine = { words: [], shellLine: "", nonce: "0123456789abcdef", hasTerminal: false };
const TOKEN = "mitogen-sudo-01234567:";
const SECRET = "hunter2 ñ";

interface Outcome {
  typed: string[];
  verdict?: Verdict;
  cause?: unknown;
  conversation: Conversation;
}

interface Options {
  password?: Password | undefined;
  answers?: Record<string, Password>;
  [option: string]: unknown;
}

function converse(name: string, options: Options = {}): Outcome {
  const dialogue = (methods[name] as ConnectionMethod).dialogue?.(options as ConnectOptions, BOOT);
  assert.ok(dialogue);
  const outcome: Partial<Outcome> & { typed: string[] } = { typed: [] };
  outcome.conversation = new Conversation(dialogue, options, {
    type: (text) => outcome.typed.push(text),
    fail: (verdict, cause) => {
      assert.equal(outcome.verdict, undefined, "it fails once");
      outcome.verdict = verdict;
      outcome.cause = cause;
    },
  });
  return outcome as Outcome;
}

/** Plays a tool's output on stderr, in one or more writes, each cut into pieces of `pieceBytes`. */
async function play(
  name: string,
  said: string | readonly string[],
  options: Options = {},
  pieceBytes = 1,
): Promise<Outcome> {
  const outcome = converse(name, options);
  for (const bytes of [said].flat().map((text) => Buffer.from(text))) {
    for (let at = 0; at < bytes.length; at += pieceBytes) {
      outcome.conversation.push("stderr", bytes.subarray(at, at + pieceBytes));
      await turn();
    }
  }
  outcome.conversation.endOfText();
  await turn();
  return outcome;
}

const ssh = { hostname: "web1" };
const QUESTION = "Are you sure you want to continue connecting";

/** Tool, what it says once, options. */
const prompts: [string, string, object?][] = [
  ["sudo", TOKEN],
  ["sudo", `We trust you have received the usual lecture.\n\n${TOKEN}`],
  ["sudo", `[sudo: ${TOKEN}] Password: `],
  ["sudo", `[sudo: ${TOKEN}] Mot de passe\u00a0: `],
  ["sudo", `[sudo: ${TOKEN}] 密码：`],
  ["sudo", `[sudo: ${TOKEN}] パスワード: `],
  ["su", "Password: "],
  ["su", "Mot de passe\u00a0: "],
  ["su", "密码："],
  ["su", "Passwort: "],
  ["sudo", "One-time code for ada> ", { passwordPrompt: "CODE for ada>" }],
  ["su", "Geheimwort> ", { passwordPrompt: "geheimwort>" }],
  ["doas", "Password: "],
  ["doas", "\rdoas (ada@web1) password: "],
  ["doas", "Parola ", { passwordPrompt: "parola" }],
  ["ssh", "ada@web1's password: ", ssh],
  ["ssh", "(ada@web1) Password: ", ssh],
  ["ssh", "ADA@WEB1'S PASSWORD: ", ssh],
  ["ssh", "(ada@web1) Пароль: ", ssh],
  [
    "ssh",
    "debug1: Next authentication method: password\r\ndebug1: the password:\r\nada@web1's password: ",
    ssh,
  ],
];

describe("a password prompt", () => {
  for (const [name, said, options] of prompts) {
    it(`of ${name}: ${JSON.stringify(said)}: the password is typed exactly once, however the prompt is cut`, async () => {
      for (const pieceBytes of [1, 2, 3, 7, 1000]) {
        const { typed, verdict } = await play(
          name,
          [said, "\r\n"],
          { ...options, password: SECRET },
          pieceBytes,
        );
        assert.equal(verdict, undefined);
        assert.deepEqual(typed, [SECRET]);
      }
    });

    it(`of ${name}: ${JSON.stringify(said)}: without a password one is required`, async () => {
      const { typed, verdict } = await play(name, said, { ...options });
      assert.deepEqual(typed, []);
      assert.equal(verdict?.type, PasswordError);
      assert.match(verdict.message, /^a password is required to (become root|log in to web1)$/);
    });

    it(`of ${name}: ${JSON.stringify(said)}: a second prompt means that the password was wrong`, async () => {
      const { typed, verdict } = await play(name, [said, "\n", said], { ...options, password: SECRET });
      assert.deepEqual(typed, [SECRET]);
      assert.equal(verdict?.type, PasswordError);
      assert.match(verdict.message, /is incorrect$/);
    });
  }
});

/** Tool, what it says after the password was typed, options. */
const refusals: [string, string, object?][] = [
  ["sudo", `${TOKEN}\nSorry, try again.\n`],
  ["sudo", `${TOKEN}\nsudo: 1 incorrect password attempt\n`],
  ["sudo", `${TOKEN}\nsudo: 1 Fehlversuch bei der Passwort-Eingabe\n`],
  ["sudo", `${TOKEN}\nsudo : 1 saisie de mot de passe incorrecte\n`],
  ["sudo", `${TOKEN}\nsudo: 1 次错误密码尝试\n`],
  ["sudo", `[sudo: ${TOKEN}] Password: \nsudo: Authentication failed, try again.\n`],
  ["su", "Password: su: Authentication failure\n"],
  ["su", "Password: \nsu: Authentication failure"],
  ["su", "Password:\nSorry\n"],
  ["su", "Password: \r\nsu: incorrect password\r\n"],
  ["su", "Password: \nsu: Access denied\n"],
  ["su", "Password: \nsu: Zugriff verweigert\n", { incorrectPrompts: ["verweigert"] }],
  ["doas", "Password: \r\ndoas: Authentication failed\r\n"],
  ["doas", "Password: \r\ndoas: Authorization failed\r\n"],
  ["doas", "Password: \r\nPas question\r\n", { incorrectPrompts: ["PAS QUESTION"] }],
  ["ssh", "ada@web1's password: \r\nPermission denied, please try again.\r\n", ssh],
  ["ssh", "ada@web1's password: \r\nada@web1: Permission denied (publickey,password).\r\n", ssh],
];

describe("a wrong password", () => {
  for (const [name, said, options] of refusals) {
    it(`is known from ${name}: ${JSON.stringify(said)}`, async () => {
      const { typed, verdict } = await play(name, said, { ...options, password: "wrong" });
      assert.deepEqual(typed, ["wrong"]);
      assert.equal(verdict?.type, PasswordError);
      assert.match(verdict.message, /^the password to .* is incorrect$/);
    });
  }

  it("is known when the line is complete, not before", async () => {
    const outcome = converse("su", { password: "wrong" });
    const verdictAfter = (said: string): Verdict["type"] | undefined => {
      outcome.conversation.push("stderr", Buffer.from(said));
      return outcome.verdict?.type;
    };
    verdictAfter("Password: ");
    await turn();
    assert.equal(verdictAfter("\nsu: Authentication failure"), undefined);
    assert.equal(verdictAfter("\n"), PasswordError);
  });
});

/** Tool, text that is neither question nor verdict, options. */
const lookAlikes: [string, string, object?][] = [
  ["sudo", "Password: \nEnter the password now\nsudo: 1 incorrect password attempt\n"],
  ["sudo", `${TOKEN} \nmore`],
  ["su", "Your password will expire in 3 days\nsu: Authentication failure\n"],
  ["su", "Enter your password:\nWelcome\n"],
  ["doas", "doas: Authentication failed\n"],
  ["ssh", "*** Your password: keep it secret ***\nPermission denied, please try again.\n", ssh],
  ["ssh", "bash: ada: Permission denied (password)\n", ssh],
  ["ssh", `Welcome! ${QUESTION} (yes/no)? they asked\n`, ssh],
  ["ssh", `Your password:\n${QUESTION} (yes/no)?\nEnter passphrase for key '/k':\n`, ssh],
  ["ssh", "debug1: Server asks for password:", ssh],
];

describe("a look-alike", () => {
  for (const [name, said, options] of lookAlikes) {
    it(`of ${name} causes nothing: ${JSON.stringify(said)}`, async () => {
      // In lines, as tools write them: a line that stops at a colon cannot be told from a question.
      const pieceBytes = said.includes("\n") ? 1000 : 1;
      const { typed, verdict } = await play(name, said, { ...options, password: SECRET }, pieceBytes);
      assert.deepEqual([typed, verdict], [[], undefined]);
    });
  }

  it("of sudo: asterisks for typed characters, and the line end after them", async () => {
    const said = `[sudo: ${TOKEN}] Password: ****\b\b\b\b\r\n`;
    const { typed, verdict } = await play("sudo", said, { password: SECRET });
    assert.deepEqual([typed, verdict], [[SECRET], undefined]);
  });

  it("of su: complaints of the shell about its start-up files after a right password", async () => {
    for (const complaint of [
      "-bash: /root/.profile: Permission denied",
      "/home/ada/.zshenv:3: permission denied: /opt/tool",
      "/root/.tcshrc: Permission denied.",
    ]) {
      const { typed, verdict } = await play("su", `Password: \n${complaint}\n`, { password: SECRET });
      assert.deepEqual([typed, verdict], [[SECRET], undefined], complaint);
    }
    const { verdict } = await play("su", "Password: \nsu: Permission denied\n", { password: SECRET });
    assert.equal(verdict?.type, PasswordError);
  });

  it("of sudo: an empty password", async () => {
    const { typed, verdict } = await play("sudo", `${TOKEN}\n`, { password: "" });
    assert.deepEqual([typed, verdict], [[""], undefined]);
  });

  it("on another stream does not continue the question of this one", async () => {
    const { conversation, typed } = converse("su", { password: SECRET });
    conversation.push("stderr", Buffer.from("Pass"));
    conversation.push("stdout", Buffer.from("word: "));
    await turn();
    assert.deepEqual(typed, []);
  });
});

describe("ssh's other questions", () => {
  for (const choices of ["(yes/no)? ", "(yes/no/[fingerprint])? "]) {
    const said = `The authenticity of host 'web1' can't be established.\r\n${QUESTION} ${choices}`;
    it(`answers ${choices} with the whole word under accept`, async () => {
      const { typed, verdict } = await play("ssh", `${said}yes\r\n`, { ...ssh, checkHostKeys: "accept" });
      assert.deepEqual([typed, verdict], [["yes"], undefined]);
    });

    it(`refuses ${choices} under other modes, naming the cure`, async () => {
      for (const checkHostKeys of [undefined, "enforce", "ignore"]) {
        const { typed, verdict } = await play("ssh", said, { ...ssh, checkHostKeys, password: SECRET });
        assert.deepEqual(typed, []);
        assert.equal(verdict?.type, HostKeyError);
        // Without a value, ssh_config decides.
        assert.match(verdict.hint, checkHostKeys === undefined ? /pass checkHostKeys: "accept"/ : /sshArgs/);
      }
    });
  }

  it("answers the host key question, then the password prompt", async () => {
    const said = `${QUESTION} (yes/no)? yes\r\nada@web1's password: \r\n`;
    const { typed } = await play("ssh", said, { ...ssh, checkHostKeys: "accept", password: SECRET });
    assert.deepEqual(typed, ["yes", SECRET]);
  });

  for (const key of ["/home/ada/.ssh/id_ed25519", "/home/ada/keys/no-password", "/home/ada/Passwort/id"]) {
    it(`skips a key that has a passphrase: ${key}`, async () => {
      const said = `Enter passphrase for key '${key}': \r\nada@web1's password: \r\n`;
      const { typed } = await play("ssh", said, { ...ssh, password: SECRET });
      assert.deepEqual(typed, ["", SECRET]);
    });
  }

  it("gives up on a question that comes again and again", async () => {
    const said = `${QUESTION} (yes/no)? \n`.repeat(20);
    const { typed, verdict } = await play("ssh", said, { ...ssh, checkHostKeys: "accept" });
    assert.ok(typed.length < 10);
    assert.equal(verdict?.type, StreamError);
  });
});

describe("the password", () => {
  it("may be a Secret, or come from a function, which is asked once and only when the tool asks", async () => {
    let count = 0;
    const password = async (): Promise<Secret> => {
      count += 1;
      await turn();
      return new Secret(SECRET);
    };
    assert.deepEqual((await play("sudo", "no question\n", { password })).typed, []);
    assert.equal(count, 0);
    assert.deepEqual((await play("sudo", `${TOKEN}\n\n`, { password })).typed, [SECRET]);
    assert.equal(count, 1);
    assert.deepEqual((await play("sudo", TOKEN, { password: new Secret(SECRET) })).typed, [SECRET]);
  });

  it("is not asked for again if a second prompt comes before the answer", async () => {
    let count = 0;
    const password = (): Promise<string> => {
      count += 1;
      return new Promise(() => undefined);
    };
    const { typed, verdict } = await play("su", ["Password: ", "\n", "Password: "], { password });
    assert.deepEqual([count, typed, verdict], [1, [], undefined]);
  });

  it("that its function does not give fails the connect with the function's error", async () => {
    const reason = new Error("the vault is shut");
    const throwing = (): never => {
      throw reason;
    };
    for (const password of [() => Promise.reject(reason), throwing]) {
      const { typed, verdict, cause } = await play("sudo", TOKEN, { password });
      assert.deepEqual(typed, []);
      assert.equal(verdict?.type, StreamError);
      assert.equal(verdict?.message, "the password was not given: the vault is shut");
      assert.equal(cause, reason);
    }
  });

  it("that cannot be typed is refused without being shown", async () => {
    for (const text of ["a\nb", "a\rb", "a\0b", "\x03"]) {
      const { typed, cause } = await play("sudo", TOKEN, { password: text });
      assert.deepEqual(typed, []);
      assert.match(String(cause), /without control characters/);
    }
  });

  it("is not typed any more once the connect is over", async () => {
    const { typed, conversation } = await play("su", "", {});
    conversation.end();
    conversation.push("stderr", Buffer.from("Password: "));
    assert.deepEqual(typed, []);
  });

  it("is not shown by inspect, and masked where a terminal echoed it", async () => {
    const { conversation } = await play("sudo", TOKEN, { password: SECRET });
    assert.ok(!inspect(conversation, { depth: 9, showHidden: true }).includes("hunter2"));
    assert.equal(conversation.masked(`echo: ${SECRET}!`), "echo: [secret]!");
  });
});

it("a tool that wants a terminal says so", async () => {
  for (const [name, line] of [
    ["sudo", "sudo: sorry, you must have a tty to run sudo"],
    ["sudo", "sudo: Sie müssen über ein TTY verfügen, um sudo zu benutzen"],
    ["sudo", "sudo: 抱歉，您必须拥有一个终端来执行 sudo"],
    ["su", "su: must be run from a terminal"],
  ] as const) {
    assert.equal((await play(name, `${line}\n`)).conversation.wantsTerminal, true, line);
  }
  assert.equal((await play("sudo", "sudo: unknown user nosuch\n")).conversation.wantsTerminal, false);
});

describe("answers", () => {
  const answers = { "Verification code:": "123456", "colour?": "sky blue" };

  it("are typed once each, in any order, beside the password", async () => {
    for (const pieceBytes of [1, 3, 1000]) {
      const said = ["Your colour? ", "\r\nPassword: ", "\r\nVerification CODE: ", "\r\n"];
      const { typed, verdict } = await play("su", said, { password: SECRET, answers }, pieceBytes);
      assert.equal(verdict, undefined);
      assert.deepEqual(typed, ["sky blue", SECRET, "123456"]);
    }
  });

  it("are masked, and named in the verdict", async () => {
    const said = ["Password: ", "\nVerification code: ", "\nsu: Authentication failure\n"];
    const { conversation, verdict } = await play("su", said, { password: SECRET, answers });
    assert.equal(
      verdict?.message,
      'the password to become root or the answer to "Verification code:" is incorrect',
    );
    assert.equal(conversation.masked(`a 123456 b ${SECRET} c`), "a [secret] b [secret] c");
    assert.doesNotMatch(inspect(conversation, { depth: 9, showHidden: true }), /123456/);
  });

  it("let sudo ask in its own words", () => {
    const argv = (options: object): string[] => (methods.sudo as ConnectionMethod).argv(options, BOOT);
    assert.deepEqual([argv({}).includes("-p"), argv({ answers }).includes("-p")], [true, false]);
  });

  it("that are missing make the verdict quote the question that is not for the password", async () => {
    const { verdict } = await play("su", ["Password: ", "\nOne-time password (OATH) for `ada': "], {
      password: SECRET,
    });
    assert.equal(
      verdict?.hint,
      'it was tried once; if "One-time password (OATH) for `ada\':" asks for something else, pass answers',
    );
  });
});
