/**
 * Milliseconds since this process started. Time limits use this clock, because the clock of the day may be set
 * meanwhile, and tests stop it.
 */
export function monotonicMs(): number {
  return Math.round(process.uptime() * 1000);
}
