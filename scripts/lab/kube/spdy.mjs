// The server's side of SPDY/3.1 as far as `kubectl exec` before 1.30 uses it: one stream per channel, no flow
// control.
import { once } from "node:events";
import { constants, createDeflate, createInflate } from "node:zlib";
import { DICTIONARY } from "./spdy-dictionary.mjs";

const PROTOCOL = "v4.channel.k8s.io";
const VERSION = 0x8003;
const SYN_STREAM = 1;
const SYN_REPLY = 2;
const RST_STREAM = 3;
const PING = 6;
const GOAWAY = 7;
const FIN = 1;

/**
 * Answers the upgrade; a session for `execInPod` once the client has opened all of `names` and the error
 * stream.
 */
export function acceptSpdy(request, socket, head, names, onSession) {
  const offered = String(request.headers["x-stream-protocol-version"] ?? "");
  if (!offered.includes(PROTOCOL)) return socket.end("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n");
  socket.write(
    `HTTP/1.1 101 Switching Protocols\r\nUpgrade: SPDY/3.1\r\nConnection: Upgrade\r\nX-Stream-Protocol-Version: ${PROTOCOL}\r\n\r\n`,
  );
  const inflate = flushing(createInflate({ dictionary: DICTIONARY }));
  const deflate = flushing(createDeflate({ dictionary: DICTIONARY }));
  const streams = new Map(); // id → channel name, and the other way round
  const wanted = new Set([...names, "error"]);
  const session = {
    names,
    onInput: () => {},
    send: (name, bytes) => sendData(name, bytes, 0),
    pauseInput: () => socket.pause(),
    resumeInput: () => socket.resume(),
    finish: async (status) => {
      const body = status.status === "Success" ? Buffer.alloc(0) : Buffer.from(JSON.stringify(status));
      if (body.length > 0) await sendData("error", body, 0);
      for (const name of ["stdout", "stderr", "error"]) {
        if (streams.has(name)) await sendData(name, Buffer.alloc(0), FIN);
      }
    },
  };

  const write = async (bytes) => {
    if (socket.writable && !socket.write(bytes)) {
      await Promise.race([once(socket, "drain"), once(socket, "close")]).catch(() => {});
    }
  };
  const sendData = (name, bytes, flags) => {
    const header = Buffer.alloc(8);
    header.writeUInt32BE(streams.get(name), 0);
    header.writeUInt32BE(((flags << 24) | bytes.length) >>> 0, 4);
    return write(Buffer.concat([header, bytes]));
  };
  const sendControl = (type, body) => {
    const header = Buffer.alloc(8);
    header.writeUInt16BE(VERSION, 0);
    header.writeUInt16BE(type, 2);
    header.writeUInt32BE(body.length, 4);
    return write(Buffer.concat([header, body]));
  };
  const onControl = async (type, body) => {
    if (type === PING) await sendControl(PING, body);
    else if (type === GOAWAY) socket.end();
    else if (type === RST_STREAM) session.onInput(undefined);
    else if (type === SYN_STREAM) {
      const id = body.subarray(0, 4);
      const name = parseHeaders(await inflate(body.subarray(10))).get("streamtype");
      streams.set(name, id.readUInt32BE(0)).set(id.readUInt32BE(0), name);
      await sendControl(SYN_REPLY, Buffer.concat([id, await deflate(Buffer.alloc(4))])); // No headers.
      wanted.delete(name);
      if (wanted.size === 0) onSession(session);
    }
  };
  const onFrame = async (first, flags, body) => {
    if (first & 0x80000000) return await onControl(first & 0xffff, body);
    if (streams.get(first) !== "stdin") return;
    if (body.length > 0) session.onInput(body);
    if (flags & FIN) session.onInput(undefined);
  };
  // Frames are handled one after the other: the header compression has a state.
  let held = head;
  let turn = Promise.resolve();
  socket.on("data", (chunk) => {
    held = Buffer.concat([held, chunk]);
    while (held.length >= 8) {
      const end = 8 + (held.readUInt32BE(4) & 0xffffff);
      if (held.length < end) break;
      const frame = [held.readUInt32BE(0), held[4], held.subarray(8, end)];
      held = held.subarray(end);
      turn = turn.then(() => onFrame(...frame)).catch((error) => socket.destroy(error));
    }
  });
  socket.on("end", () => socket.end()); // Sockets of an HTTP server may be half open.
  socket.on("close", () => turn.then(() => session.onInput(undefined)));
}

/** A function that puts bytes through a zlib stream and answers what it has given for them. */
function flushing(stream) {
  return (bytes) =>
    new Promise((resolve, reject) => {
      const chunks = [];
      const collect = (chunk) => chunks.push(chunk);
      stream.on("data", collect).once("error", reject);
      stream.write(bytes);
      stream.flush(constants.Z_SYNC_FLUSH, () => {
        stream.off("data", collect).off("error", reject);
        resolve(Buffer.concat(chunks));
      });
    });
}

/** A count, then names and values, each behind its length. */
function parseHeaders(bytes) {
  let at = 4;
  const text = () => {
    const end = at + 4 + bytes.readUInt32BE(at);
    const value = bytes.toString("latin1", at + 4, end);
    at = end;
    return value;
  };
  const headers = new Map();
  for (let left = bytes.readUInt32BE(0); left > 0; left--) headers.set(text(), text());
  return headers;
}
