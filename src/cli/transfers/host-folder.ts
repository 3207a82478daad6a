/** What file names may not have, on any system. */
const UNFIT = /[^\w.@+=,-]/g;

/**
 * The name of a host as the name of a folder. Names may come from a command or a file that others write: none of them leads
 * out of the folder it is put into. Two hosts never share a folder.
 */
export function hostFolder(name: string): string {
  const fit = name.replace(UNFIT, (character) => `%${character.codePointAt(0)?.toString(16)}`);
  return fit.startsWith(".") ? `%2e${fit.slice(1)}` : fit;
}
