/** Characters that file names may not contain on some systems. */
const UNFIT = /[^\w.@+=,-]/g;

/**
 * The name of a host as the name of a folder. Others may have chosen the names of hosts, so the result never leads out
 * of its parent folder. Two hosts never share a folder.
 */
export function hostFolder(name: string): string {
  const fit = name.replace(UNFIT, (character) => `%${character.codePointAt(0)?.toString(16)}`);
  return fit.startsWith(".") ? `%2e${fit.slice(1)}` : fit;
}
