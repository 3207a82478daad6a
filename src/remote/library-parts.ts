import { inflateRawSync } from "node:zlib";
import { callErrorFrom } from "../core/call-error.ts";
import { Context } from "../core/context.ts";
import { FunctionRef } from "../core/function-ref.ts";
import { addLogSink, getLogger, LogLevel } from "../core/log.ts";
import { deadReason, Message } from "../core/message.ts";
import { CoreRouter } from "../core/router.ts";
import { Sender } from "../core/sender.ts";
import { StreamLink } from "../core/stream-link.ts";
import { ERRORS } from "../errors.ts";
import { API, builtinExports, isBuiltin, MITOGEN } from "../loader/builtins.ts";
import { Blob } from "../wire/blob.ts";
import { decodeValue } from "../wire/decoder.ts";
import { encodeValue, setPlainForm } from "../wire/encoder.ts";
import { Secret } from "../wire/secret.ts";

/**
 * What the parts that travel later take from the payload instead of bringing their own: what is large, and what must be the same
 * object on both sides. The table in scripts/build-payload.mjs names the same exports.
 */
const SHARED: object = {
  ...{
    callErrorFrom,
    Context,
    FunctionRef,
    addLogSink,
    getLogger,
    LogLevel,
    deadReason,
    Message,
    CoreRouter,
  },
  ...{ Sender, StreamLink, API, builtinExports, isBuiltin, MITOGEN, Blob, decodeValue, encodeValue },
  ...{ setPlainForm, Secret },
  ...ERRORS,
};

/** Evaluates one of them, as packed by the master, and answers what it exports. `more` is shared with it beside the above. */
export function evaluatePart(packed: Uint8Array, more?: object): object {
  // biome-ignore lint/security/noGlobalEval: it is the library's own code; indirect, in the global scope
  const evaluate = eval;
  const load = evaluate(inflateRawSync(packed).toString()) as (require: unknown, shared: object) => object;
  return load(require, { ...SHARED, ...more });
}
