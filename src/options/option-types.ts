import type { WaitOptions } from "../waiting/wait.ts";
import { Secret } from "../wire/values/secret.ts";
import type { OptionTable, OptionType } from "./options.ts";

/** The types of options, for option tables: src/options/options.ts. */

/** The longest delay of a timer, about 24 days. */
const MAX_TIMER_MS = 0x7fffffff;

/** The longest list, because a proxy may claim any length. */
const MAX_ELEMENTS = 100_000;

/** The most questions to which a tool may be given answers. */
const MAX_ANSWERS = 20;

/** Makes an option required. */
export function required<T>(type: OptionType<T>): OptionType<T> {
  return { ...type, isRequired: true };
}

/** The same under an old name, for options that have got a better one. */
export function renamed<T>(type: OptionType<T>, renamedTo: string): OptionType<T> {
  return { ...type, renamedTo };
}

export const flag: OptionType<boolean> = {
  wanted: "true or false",
  take(value, refuse) {
    if (typeof value !== "boolean") throw refuse("ERR_INVALID_ARG_TYPE");
    return value;
  },
};

/** Any text. The code that uses it checks it further. */
export const anyText: OptionType<string> = {
  wanted: "a string",
  take(value, refuse) {
    if (typeof value !== "string") throw refuse("ERR_INVALID_ARG_TYPE");
    return value;
  },
};

/** Text that is not empty and can be part of a command line: a path, an argument. */
export const text: OptionType<string> = {
  wanted: "a string with 1 or more characters, none of them NUL",
  take(value, refuse) {
    if (typeof value !== "string") throw refuse("ERR_INVALID_ARG_TYPE");
    if (value === "" || value.includes("\0")) throw refuse("ERR_INVALID_ARG_VALUE");
    return value;
  },
};

/** Text that can be part of a command line, and may be empty. */
export const argument: OptionType<string> = {
  wanted: "a string without NUL",
  take(value, refuse) {
    if (typeof value !== "string") throw refuse("ERR_INVALID_ARG_TYPE");
    if (value.includes("\0")) throw refuse("ERR_INVALID_ARG_VALUE");
    return value;
  },
};

/** The name of a user, a container or a host. A leading dash would make it an option of the tool. */
export const target: OptionType<string> = {
  wanted: "a name: a string that is not empty, does not begin with a dash and has no control characters",
  take(value, refuse) {
    if (typeof value !== "string") throw refuse("ERR_INVALID_ARG_TYPE");
    if (value === "" || value.startsWith("-") || /[\x00-\x1f\x7f]/.test(value)) {
      throw refuse("ERR_INVALID_ARG_VALUE");
    }
    return value;
  },
};

/** A list whose elements have a type. Returns a copy. */
export function listOf<T>(type: OptionType<T>, wanted: string, min = 0): OptionType<readonly T[]> {
  return {
    wanted,
    take(value, refuse) {
      if (!Array.isArray(value)) throw refuse("ERR_INVALID_ARG_TYPE");
      if (value.length < min || value.length > MAX_ELEMENTS) throw refuse("ERR_INVALID_ARG_VALUE");
      // Not map(), which skips holes.
      const given = Array.from(value as unknown[]);
      return given.map((each, index) => type.take(each, (code) => refuse(code, `[${index}]`, each)));
    },
  };
}

export const argumentList: OptionType<readonly string[]> = listOf(argument, "a list of strings without NUL");
export const commandLine: OptionType<readonly string[]> = listOf(
  argument,
  "a list of 1 or more strings without NUL",
  1,
);

/** One of the given words. */
export function oneOf<const T extends string>(...words: readonly T[]): OptionType<T> {
  return {
    wanted: `one of ${words.map((word) => `"${word}"`).join(", ")}`,
    take(value, refuse) {
      if (typeof value !== "string") throw refuse("ERR_INVALID_ARG_TYPE");
      if (!words.includes(value as T)) throw refuse("ERR_INVALID_ARG_VALUE");
      return value as T;
    },
  };
}

/** Environment variables, added to those of this process. */
export const environment: OptionType<Readonly<Record<string, string>>> = {
  wanted: "an object of strings without NUL, by the names of variables",
  take(value, refuse) {
    if (typeof value !== "object" || value === null || Array.isArray(value))
      throw refuse("ERR_INVALID_ARG_TYPE");
    const variables: Record<string, string> = {};
    for (const [name, each] of Object.entries(value)) {
      if (name === "" || /[=\0]/.test(name)) throw refuse("ERR_INVALID_ARG_VALUE", "", name);
      variables[name] = argument.take(each, (code) => refuse(code, `.${name}`, each));
    }
    return variables;
  },
};

export function integer(min: number, max: number): OptionType<number> {
  return {
    wanted: `an integer from ${min} to ${max}`,
    take(value, refuse) {
      if (typeof value !== "number") throw refuse("ERR_INVALID_ARG_TYPE");
      if (!Number.isInteger(value) || value < min || value > max) throw refuse("ERR_OUT_OF_RANGE");
      return value;
    },
  };
}

/** A time limit. Above 2,147,483,647 ms, the longest delay of a timer, there is no limit either. */
export const duration: OptionType<number> = {
  wanted: "a number of milliseconds from 0, or Infinity for no limit",
  take(value, refuse) {
    if (typeof value !== "number") throw refuse("ERR_INVALID_ARG_TYPE");
    if (!(value >= 0)) throw refuse("ERR_OUT_OF_RANGE");
    return value;
  },
};

/** The interval of a repeated action. 0 and Infinity mean never. */
export const interval: OptionType<number> = {
  wanted: `a number of milliseconds from 1 to ${MAX_TIMER_MS}; or 0, or Infinity, for never`,
  take(value, refuse) {
    if (typeof value !== "number") throw refuse("ERR_INVALID_ARG_TYPE");
    if (value === Number.POSITIVE_INFINITY) return 0;
    if (value !== 0 && !(value >= 1 && value <= MAX_TIMER_MS)) throw refuse("ERR_OUT_OF_RANGE");
    return value;
  },
};

// biome-ignore lint/suspicious/noExplicitAny: any function at all
export const callback: OptionType<(...args: any[]) => any> = {
  wanted: "a function",
  take(value, refuse) {
    if (typeof value !== "function") throw refuse("ERR_INVALID_ARG_TYPE");
    // biome-ignore lint/suspicious/noExplicitAny: any function at all
    return value as (...args: any[]) => any;
  },
};

/** An instance of a class. */
export function instanceOf<T>(type: abstract new (...args: never[]) => T, wanted: string): OptionType<T> {
  return {
    wanted,
    take(value, refuse) {
      if (!(value instanceof type)) throw refuse("ERR_INVALID_ARG_TYPE");
      return value;
    },
  };
}

/** Recognised by its methods: Node 12 has no such class, and programs may bring one. */
export const abortSignal: OptionType<AbortSignal> = {
  wanted: "an AbortSignal",
  take(value, refuse) {
    const { aborted, addEventListener } = (
      typeof value === "object" && value !== null ? value : {}
    ) as AbortSignal;
    if (typeof aborted !== "boolean" || typeof addEventListener !== "function") {
      throw refuse("ERR_INVALID_ARG_TYPE");
    }
    return value as AbortSignal;
  },
};

/**
 * Text that can be typed at a prompt. A terminal would act on control characters, and a line end would be a
 * second answer.
 */
export const secret: OptionType<string | Secret> = {
  wanted: "a string or a Secret without control characters (trim a final newline)",
  take(value, refuse) {
    if (typeof value !== "string" && !(value instanceof Secret)) throw refuse("ERR_INVALID_ARG_TYPE");
    if (/[\x00-\x1f\x7f]/.test(typeof value === "string" ? value : value.reveal())) {
      throw refuse("ERR_INVALID_ARG_VALUE");
    }
    return value;
  },
};

/** A password, or a function that returns it. */
export const password: OptionType<string | Secret | (() => string | Secret | Promise<string | Secret>)> = {
  wanted:
    "a string or a Secret without control characters (trim a final newline), or a function that returns one",
  take(value, refuse) {
    return typeof value === "function"
      ? (value as () => string | Secret | Promise<string | Secret>)
      : secret.take(value, refuse);
  },
};

/** Answers to questions, by the ends of the questions. */
export const answers: OptionType<Readonly<Record<string, ReturnType<typeof password.take>>>> = {
  wanted: `an object of 1 to ${MAX_ANSWERS} answers as of password, by the ends of the questions`,
  take(value, refuse) {
    if (typeof value !== "object" || value === null || Array.isArray(value)) {
      throw refuse("ERR_INVALID_ARG_TYPE");
    }
    const given = Object.entries(value);
    if (given.length === 0 || given.length > MAX_ANSWERS) throw refuse("ERR_INVALID_ARG_VALUE");
    const taken = given.map(([question, answer]) => {
      if (question.trim() === "") throw refuse("ERR_INVALID_ARG_VALUE");
      return [
        question,
        password.take(answer, (code) => refuse(code, `[${JSON.stringify(question)}]`, answer)),
      ];
    });
    return Object.fromEntries(taken) as Record<string, ReturnType<typeof password.take>>;
  },
};

/** A limit on things at once. Infinity means no limit. */
export const limit: OptionType<number> = {
  wanted: "an integer from 1, or Infinity for no limit",
  take(value, refuse) {
    if (typeof value !== "number") throw refuse("ERR_INVALID_ARG_TYPE");
    if (value !== Number.POSITIVE_INFINITY && !(Number.isSafeInteger(value) && value >= 1)) {
      throw refuse("ERR_OUT_OF_RANGE");
    }
    return value;
  },
};

/** How often something may be tried again. Infinity means for ever. */
export const retryCount: OptionType<number> = {
  wanted: "an integer from 0, or Infinity",
  take(value, refuse) {
    if (typeof value !== "number") throw refuse("ERR_INVALID_ARG_TYPE");
    if (value !== Number.POSITIVE_INFINITY && !(Number.isSafeInteger(value) && value >= 0)) {
      throw refuse("ERR_OUT_OF_RANGE");
    }
    return value;
  },
};

/** The number of a handler: docs/protocol.md#handles. */
export const handleNumber: OptionType<number> = integer(1, 0xffffffff);

export const WAIT_OPTIONS: OptionTable<WaitOptions> = { timeoutMs: duration, signal: abortSignal };
