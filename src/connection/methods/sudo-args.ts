import { StreamError } from "../../errors.ts";

/** The settings that can be given as options or in `sudoArgs`. */
export interface SudoFlags {
  /** The user to become, sudo(8) `-u`; `root` by default. */
  readonly username?: string | undefined;
  /** Whether the target gets the environment of the context that runs sudo, `-E`; false by default. */
  readonly preserveEnv?: boolean | undefined;
  /** Whether HOME becomes the target user's home, `-H`; false by default. */
  readonly setHome?: boolean | undefined;
  /** Whether node is started through the target user's login shell and its profile, `-i`; false by default. */
  readonly login?: boolean | undefined;
  /** The SELinux role of the new process, `-r`. */
  readonly selinuxRole?: string | undefined;
  /** The SELinux type of the new process, `-t`. */
  readonly selinuxType?: string | undefined;
}

type Flag = keyof SudoFlags;

const SWITCHES: Readonly<Record<string, Flag | null>> = {
  "-E": "preserveEnv",
  "--preserve-env": "preserveEnv",
  "-H": "setHome",
  "--set-home": "setHome",
  "-i": "login",
  "--login": "login",
  // This library decides how sudo asks for passwords.
  "-S": null,
  "--stdin": null,
  "-n": null,
  "--non-interactive": null,
};
const SETTINGS: Readonly<Record<string, Flag>> = {
  "-u": "username",
  "--user": "username",
  "-r": "selinuxRole",
  "--role": "selinuxRole",
  "-t": "selinuxType",
  "--type": "selinuxType",
};

/**
 * Reads arguments as sudo does: `-u bob`, `-ubob`, `--user=bob`, `-EHu bob`. Throws a StreamError for any
 * other argument than these flags.
 */
export function parseSudoArgs(args: readonly string[]): SudoFlags {
  const flags: { [flag in Flag]?: string | boolean } = {};
  const rest = [...args];
  for (let arg = rest.shift(); arg !== undefined; arg = rest.shift()) {
    const [option, attached] = splitOption(arg);
    const setting = SETTINGS[option];
    if (setting !== undefined) {
      const value = attached ?? rest.shift();
      if (value === undefined || value === "") throw refusal(arg, "it needs a value");
      flags[setting] = value;
      continue;
    }
    const flag = SWITCHES[option];
    if (flag === undefined || (attached !== undefined && option.startsWith("--"))) {
      throw refusal(arg, "only -E, -H, -i, -r, -t, -u, their long forms, -S and -n can be passed on");
    }
    if (flag !== null) flags[flag] = true;
    // -EH means -E -H.
    if (attached !== undefined) rest.unshift(`-${attached}`);
  }
  return flags as SudoFlags;
}

/** Splits an argument into the option and the value attached to it. */
function splitOption(arg: string): [option: string, attached: string | undefined] {
  if (!arg.startsWith("--")) return [arg.slice(0, 2), arg.length > 2 ? arg.slice(2) : undefined];
  const at = arg.indexOf("=");
  return at < 0 ? [arg, undefined] : [arg.slice(0, at), arg.slice(at + 1)];
}

function refusal(arg: string, why: string): StreamError {
  return new StreamError(`Cannot connect with sudo(): ${JSON.stringify(arg)} in sudoArgs: ${why}`);
}
