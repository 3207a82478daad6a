/** The way from a value to something inside it: property names and indexes, outermost first. */
export type Path = readonly (string | number)[];

/** `value.users[3]["odd key"]`, for error messages; long keys are cut. */
export function formatPath(path: Path, root = "value"): string {
  let text = root;
  for (const key of path) {
    text +=
      /^[\w$]+$/.test(`${key}`) && typeof key === "string" && !/^\d/.test(key)
        ? `.${key}`
        : `[${quote(key)}]`;
  }
  return text;
}

function quote(key: string | number): string {
  return JSON.stringify(typeof key === "string" && key.length > 50 ? `${key.slice(0, 50)}…` : key);
}
