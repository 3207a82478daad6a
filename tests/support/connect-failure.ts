import assert from "node:assert/strict";
import { type ConnectDetails, Router, type StreamError, type TimeoutError } from "../../src/index.ts";

/** The error of a failed connect, with what is known of it. */
export type ConnectError = (StreamError | TimeoutError) & { details: ConnectDetails; summary: string };

/** The error of a connect that fails, with a router of its own. */
export async function failureOfConnect(connect: (router: Router) => Promise<unknown>): Promise<ConnectError> {
  await using router = new Router();
  return await connect(router).then(
    () => assert.fail("it connected"),
    (error) => error as ConnectError,
  );
}
