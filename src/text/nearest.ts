/** Only this many characters are compared. No name is longer, and the work grows with the product of the lengths. */
const MAX_CHARACTERS = 64;

/**
 * Returns the one of `words` that somebody who wrote `word` most likely meant: the one with the fewest letters
 * added, left out, changed or swapped, at most a third of the word. Undefined if none is near.
 */
export function nearest(word: string, words: Iterable<string>): string | undefined {
  const written = word.slice(0, MAX_CHARACTERS).toLowerCase();
  let best: string | undefined;
  let fewest = Math.max(1, Math.floor(written.length / 3)) + 1;
  for (const each of words) {
    if (Math.abs(each.length - written.length) >= fewest) continue;
    const edits = distance(written, each.slice(0, MAX_CHARACTERS).toLowerCase());
    if (edits < fewest) [best, fewest] = [each, edits];
  }
  return best;
}

/** Returns the end of an error message, `; did you mean "exec"?`. Empty if none of `words` is near. */
export function didYouMean(word: string, words: Iterable<string>): string {
  const near = nearest(word, words);
  return near === undefined ? "" : `; did you mean "${near}"?`;
}

/** The optimal string alignment distance. */
function distance(a: string, b: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const isSame = a[i - 1] === b[j - 1];
      let edits = Math.min(
        (last[j] as number) + 1,
        (row[j - 1] as number) + 1,
        (last[j - 1] as number) + (isSame ? 0 : 1),
      );
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        edits = Math.min(edits, (beforeLast[j - 2] as number) + 1);
      }
      row.push(edits);
    }
    [beforeLast, last] = [last, row];
  }
  return last[b.length] as number;
}
