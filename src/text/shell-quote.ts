/** Quotes a word for POSIX shells. For login shells of any kind see `quoteForAnyShell`. */
export function quoteForSh(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replace(/'/g, `'\\''`)}'`;
}
