/** The exit statuses of `mitogen`. */
export const ExitStatus = {
  Ok: 0,
  SomeFailed: 1,
  Usage: 2,
  SomeUnreachable: 3,
  Interrupted: 130,
} as const;

export type ExitStatus = (typeof ExitStatus)[keyof typeof ExitStatus];
