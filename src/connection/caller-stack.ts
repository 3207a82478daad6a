/** Makes the lines of the stack above `method`; only the frames are captured now. */
export function callerStack(method: (...args: never[]) => unknown): () => string {
  const site: { stack?: string } = {};
  Error.captureStackTrace(site, method);
  return () => (site.stack ?? "").replace(/^.*\n/, "");
}
