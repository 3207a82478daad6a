import { readableStack } from "../core/call-site.ts";
import type { Message } from "../core/message.ts";
import type { CoreRouter } from "../core/router.ts";
import { ProtocolError } from "../errors.ts";
import { hintAtDropped } from "../logging/hint.ts";
import { emitRecord, isLogEnabled, LogLevel, type LogLevelName } from "../logging/log.ts";
import { writeTogether } from "../logging/log-to-file.ts";
import { oneLine } from "../text/harmless.ts";
import { MAX_RECEIVED_STACK } from "../text/received-stack.ts";
import { decodeValue } from "../wire/cbor/decoder.ts";
import { Encoding, joinBody } from "../wire/frame.ts";
import { Handle } from "../wire/handles.ts";
import { cut } from "../wire/values/error-value.ts";

const LEVEL_NAMES = Object.keys(LogLevel) as LogLevelName[];
/**
 * The most records in a batch, because a batch is processed in one turn of the event loop. Children split
 * larger batches: text/line-splitter.ts.
 */
const MAX_RECORDS = 1000;
const FIELDS = 4;
/** The longest name of a child's logger. It becomes part of every line, so it is cut. */
const MAX_NAME_CHARACTERS = 200;
/** As much as a line of output has: text/line-splitter.ts. */
const MAX_TEXT_CHARACTERS = 16 * 1024 * 1024;

/** Turns records that contexts send to this router into records of this process. */
export function receiveLogs(router: CoreRouter): void {
  hintAtDropped();
  router.addHandler((message) => forward(message), { handle: Handle.FORWARD_LOG, service: true });
}

/**
 * Takes [[logger, level, message, time], …], docs/protocol.md#forward_log. Records after a malformed one are
 * dropped.
 */
function forward(message: Message): void {
  // If there are more, the first bytes are enough to refuse the batch.
  const limits = { ...message.router.limits, maxItems: MAX_RECORDS * (1 + FIELDS) };
  const records = message.encoding === Encoding.CBOR && decodeValue(joinBody(message), { limits });
  if (!Array.isArray(records) || records.length > MAX_RECORDS) {
    throw new ProtocolError(`a log batch must be an array of at most ${MAX_RECORDS} records`);
  }
  writeTogether(() => {
    for (const record of records) forwardOne(message, record);
  });
}

function forwardOne(message: Message, record: unknown): void {
  const [name, level, text, time] = Array.isArray(record) ? record : [];
  const levelName = LEVEL_NAMES.find((each) => LogLevel[each] === level);
  // Data from a child is hostile until checked. Levels that a child may not use (none, io) are unknown here.
  if (
    typeof name !== "string" ||
    typeof text !== "string" ||
    typeof time !== "number" ||
    levelName === undefined ||
    levelName === "none" ||
    levelName === "io"
  ) {
    throw new ProtocolError("a log record must be [logger, level, message, time]");
  }
  if (!isLogEnabled(LogLevel[levelName])) return;
  // People read the stacks in a message here, so the stacks get the lines of the source files.
  const cutText = cut(text, MAX_TEXT_CHARACTERS);
  const hasStack = cutText.length <= MAX_RECEIVED_STACK && cutText.includes("\n    at ");
  const shownText = hasStack ? readableStack(message.context, cutText) : cutText;
  const shownName = oneLine(name.slice(0, MAX_NAME_CHARACTERS), " ");
  emitRecord({
    time,
    level: levelName,
    logger: `mitogen.ctx.${message.context.name}`,
    message: `${shownName}: ${shownText}`,
    mitogenContext: message.context,
    mitogenName: shownName,
    mitogenMsg: shownText,
  });
}
