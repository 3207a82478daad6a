/** Bytes that file names may not contain on some systems. */
const UNFIT = /[^\w.@+=,-]/g;

/**
 * The name of a host as the name of a folder. Others may have chosen the names of hosts, so the result never leads out
 * of its parent folder. Two hosts never share a folder.
 */
export function hostFolder(name: string): string {
  // Of a byte, two digits: those of a longer code could not be told from the characters that follow.
  const bytes = Buffer.from(name).toString("latin1");
  const fit = bytes.replace(UNFIT, (byte) => `%${byte.charCodeAt(0).toString(16).padStart(2, "0")}`);
  return fit.startsWith(".") ? `%2e${fit.slice(1)}` : fit;
}
