/** Names in a short form that `--on` takes: `web[1-3],web5,db1`. The order stays as far as ranges allow it. */
export function foldNames(names: readonly string[]): string {
  const runs: { head: string; tail: string; width: number; from: number; to: number }[] = [];
  const parts: (string | (typeof runs)[number])[] = [];
  for (const name of names) {
    const [, head = "", digits = "", tail = ""] = /^([^0-9]*)([0-9]{1,9})([^0-9]*)$/.exec(name) ?? [];
    const last = parts.at(-1);
    const number = Number(digits);
    // `01` and `1` are different names: only numbers of one width, or without leading zeros, make a range.
    const width = digits.startsWith("0") ? digits.length : 0;
    const isNext =
      typeof last === "object" &&
      digits !== "" &&
      last.head === head &&
      last.tail === tail &&
      last.to + 1 === number &&
      (last.width === width || last.width === digits.length);
    if (isNext) last.to = number;
    else if (digits === "") parts.push(name);
    else parts.push({ head, tail, width, from: number, to: number });
  }
  return parts.map(written).join(",");
}

function written(
  part: string | { head: string; tail: string; width: number; from: number; to: number },
): string {
  if (typeof part === "string") return part;
  const { head, tail, width, from, to } = part;
  const [first, last] = [from, to].map((number) => String(number).padStart(width, "0"));
  return from === to ? `${head}${first}${tail}` : `${head}[${first}-${last}]${tail}`;
}
