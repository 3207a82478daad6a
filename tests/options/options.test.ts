import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  argumentList,
  duration,
  flag,
  integer,
  listOf,
  oneOf,
  renamed,
  required,
  secret,
  text,
} from "../../src/options/option-types.ts";
import {
  misuse,
  type OptionTable,
  RENAMED_OPTION,
  readOptions,
  show,
  takeOption,
} from "../../src/options/options.ts";
import { Secret } from "../../src/wire/values/secret.ts";

interface Options {
  path: string;
  isQuiet?: boolean | undefined;
  size?: number | undefined;
  password?: string | Secret | undefined;
  words?: readonly string[] | undefined;
}

const TABLE: OptionTable<Options> = {
  path: required(text),
  isQuiet: flag,
  size: integer(1, 9),
  password: secret,
  words: argumentList,
};
const read = (options: unknown): Options => readOptions<Options>("try", options, TABLE);

describe("readOptions", () => {
  it("returns the given options, without undefined ones, in a new object", () => {
    const words = ["a"];
    const given = { path: "/a", isQuiet: undefined, size: 3, words };
    const taken = read(given);
    words.push("b");
    assert.deepEqual(taken, { path: "/a", size: 3, words: ["a"] });
  });

  it("takes inherited options with known names", () => {
    assert.deepEqual(read(Object.create({ path: "/a", other: 1 })), { path: "/a" });
  });

  it("says what is wrong with which option, with a code and the class of that code", () => {
    const cases: [options: unknown, code: string, message: string][] = [
      [undefined, "ERR_INVALID_ARG_TYPE", "the options must be an object, got undefined"],
      [null, "ERR_INVALID_ARG_TYPE", "the options must be an object, got null"],
      [{}, "ERR_INVALID_ARG_TYPE", `path must be ${text.wanted}, got undefined`],
      [{ path: null }, "ERR_INVALID_ARG_TYPE", `path must be ${text.wanted}, got null`],
      [{ path: "" }, "ERR_INVALID_ARG_VALUE", `path must be ${text.wanted}, got ""`],
      [{ path: "/a", size: "3" }, "ERR_INVALID_ARG_TYPE", 'size must be an integer from 1 to 9, got "3"'],
      [{ path: "/a", size: 10 }, "ERR_OUT_OF_RANGE", "size must be an integer from 1 to 9, got 10"],
      [{ path: "/a", isQuiet: 1 }, "ERR_INVALID_ARG_TYPE", "isQuiet must be true or false, got 1"],
      [
        { path: "/a", words: ["a", 5] },
        "ERR_INVALID_ARG_TYPE",
        "words[1] must be a list of strings without NUL, got 5",
      ],
      [
        { path: "/a", Path: 1 },
        "ERR_INVALID_ARG_VALUE",
        'it has no option "Path"; it has path, isQuiet, size, password, words',
      ],
      [
        JSON.parse('{ "__proto__": 1 }'),
        "ERR_INVALID_ARG_VALUE",
        'it has no option "__proto__"; it has path, isQuiet, size, password, words',
      ],
    ];
    for (const [options, code, message] of cases) {
      const name = code === "ERR_OUT_OF_RANGE" ? "RangeError" : "TypeError";

      assert.throws(() => read(options), { name, code, message: `Cannot try: ${message}` });
    }
  });

  it("shows only the type of a secret", () => {
    for (const password of [Buffer.from("hunter2"), "hunter2\n", new Secret("hunter2\0"), { hunter2: 1 }]) {
      assert.throws(
        () => read({ path: "/a", password }),
        ({ message }: Error) => /password must be/.test(message) && !message.includes("hunter2"),
      );
    }
  });

  it("refuses an option that throws when it is read, with the reason as the cause", () => {
    const cause = new Error("getter");
    const options = {
      get path(): string {
        throw cause;
      },
    };
    assert.throws(() => read(options), {
      code: "ERR_INVALID_ARG_VALUE",
      message: /path cannot be read/,
      cause,
    });
  });

  it("takes unknown options unchanged if it is told to", () => {
    const own = { any: 1 };
    const taken = readOptions<{ path: string; own?: object }>(
      "try",
      { path: "/a", own },
      { path: text } as never,
      true,
    );
    assert.equal(taken.own, own);
  });
});

describe("takeOption", () => {
  const take = <T>(value: unknown, type: Parameters<typeof takeOption<T>>[3]): T =>
    takeOption("try", "it", value, type);

  it("takes any duration from 0, Infinity included", () => {
    for (const ms of [0, 1.5, 2 ** 53, Number.POSITIVE_INFINITY]) assert.equal(take(ms, duration), ms);
    for (const ms of [-1, Number.NaN, Number.NEGATIVE_INFINITY])
      assert.throws(() => take(ms, duration), RangeError);
  });

  it("checks every place of a list, even holes, and refuses a list that is too long", () => {
    assert.deepEqual(take([], argumentList), []);
    for (const bad of [new Array(2), new Array(2 ** 32 - 1), { length: 0 }]) {
      assert.throws(() => take(bad, argumentList), TypeError);
    }
    assert.throws(() => take([], listOf(text, "not empty", 1)), TypeError);
  });

  it("takes a word only in its exact spelling", () => {
    assert.equal(take("a", oneOf("a", "b")), "a");
    for (const bad of ["A", "", "toString", ["a"]])
      assert.throws(() => take(bad, oneOf("a", "b")), TypeError);
  });
});

describe("show", () => {
  it("is short, on one line, and runs no code of the value", () => {
    const hostile = {
      toString: () => assert.fail("it ran"),
      toJSON: () => assert.fail("it ran"),
    };
    const cases: [unknown, string][] = [
      ["a\nb", '"a\\nb"'],
      [`${"x".repeat(60)}y`, JSON.stringify(`${"x".repeat(60)}…`)],
      [5n, "a bigint"],
      [Symbol("s"), "a symbol"],
      [() => 1, "a function"],
      [[1], "an array"],
      [hostile, "an object"],
      [new Secret("x"), "a Secret"],
      [null, "null"],
      [Number.NaN, "NaN"],
    ];
    for (const [value, shown] of cases) assert.equal(show(value), shown);
  });
});

it("misuse makes an error of the class that the code stands for", () => {
  assert.ok(misuse("ERR_OUT_OF_RANGE", "x") instanceof RangeError);
  assert.ok(misuse("ERR_INVALID_ARG_VALUE", "x") instanceof TypeError);
});

describe("An option with an old name", () => {
  interface Renamed {
    pauseMs?: number | undefined;
    pause?: number | undefined;
  }
  const table: OptionTable<Renamed> = { pauseMs: duration, pause: renamed(duration, "pauseMs") };
  const take = (options: object): Renamed => readOptions<Renamed>("try", options, table);

  it("is taken under the new name, with one process warning", async () => {
    const warnings: Error[] = [];
    const note = (warning: Error): void => void warnings.push(warning);
    process.on("warning", note);
    try {
      assert.deepEqual(take({ pause: 5 }), { pauseMs: 5 });
      assert.deepEqual(take({ pause: 6 }), { pauseMs: 6 });
      // Warnings are emitted on the next tick.
      await new Promise((resolve) => setImmediate(resolve));
    } finally {
      process.off("warning", note);
    }
    assert.equal(warnings.length, 1);
    const [{ name, code, message }] = warnings as [NodeJS.ErrnoException];
    assert.deepEqual([name, code], ["DeprecationWarning", RENAMED_OPTION]);
    assert.match(message, /^Option pause of "try" has a new name: write pauseMs/);
  });

  it("gives way to the new name, in any order", () => {
    assert.deepEqual(take({ pause: 5, pauseMs: 7 }), { pauseMs: 7 });
    assert.deepEqual(take({ pauseMs: 7, pause: 5 }), { pauseMs: 7 });
  });

  it("is checked, and not offered", () => {
    assert.throws(() => take({ pause: "5" }), /pause must be a number of milliseconds/);
    assert.throws(() => take({ paws: 5 }), /it has no option "paws"; it has pauseMs$/);
  });
});
