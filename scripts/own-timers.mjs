/**
 * Injected into dist/: the library keeps the timers that were there when it was loaded. Fake timers of the program's tests stop the time of the
 * program, not that of its contexts, so a connect would never end.
 */
const { setTimeout, setInterval, setImmediate, clearTimeout, clearInterval, clearImmediate } = globalThis;

export { clearImmediate, clearInterval, clearTimeout, setImmediate, setInterval, setTimeout };
