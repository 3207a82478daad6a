/** The path from a value to something inside it: property names and indexes, outermost first. */
export type Path = readonly (string | number)[];

const MAX_KEY = 50;

/** Formats a path as `value.users[3]["odd key"]`, for error messages. Long keys are cut. */
export function formatPath(path: Path, root = "value"): string {
  let text = root;
  for (const key of path) {
    if (typeof key === "number") text += `[${key}]`;
    else if (key.length > MAX_KEY) text += `[${JSON.stringify(`${key.slice(0, MAX_KEY)}…`)}]`;
    else text += /^[a-z_$][\w$]*$/i.test(key) ? `.${key}` : `[${JSON.stringify(key)}]`;
  }
  return text;
}
