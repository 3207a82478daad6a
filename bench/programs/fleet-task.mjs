// The function that `mitogen run` calls on each host.
export function noop() {}
