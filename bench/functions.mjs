// The functions that the benchmarks call in their children.
export function noop() {}

export function ownPid() {
  return process.pid;
}
