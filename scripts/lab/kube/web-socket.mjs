// The server's side of RFC 6455 with Kubernetes' channels in it: each binary message starts with the
// channel's number.
import { createHash } from "node:crypto";
import { once } from "node:events";

const PROTOCOLS = ["v5.channel.k8s.io", "v4.channel.k8s.io"];
const CHANNELS = ["stdin", "stdout", "stderr", "error"];
const CLOSE_CHANNEL = 255; // Since v5: its second byte is the channel that ends.
const BINARY = 2;
const CLOSE = 8;
const PING = 9;
const PONG = 10;

/** Answers the upgrade; a session for `execInPod`. `names` are the channels that the query asked for. */
export function acceptWebSocket(request, socket, head, names) {
  const offered = (request.headers["sec-websocket-protocol"] ?? "").split(",").map((word) => word.trim());
  const protocol = PROTOCOLS.find((name) => offered.includes(name));
  if (!protocol) return socket.end("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
  const key = `${request.headers["sec-websocket-key"]}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`;
  const accept = createHash("sha1").update(key).digest("base64");
  socket.write(
    `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\nSec-WebSocket-Protocol: ${protocol}\r\n\r\n`,
  );
  const session = {
    names,
    onInput: () => {},
    send: (name, bytes) => write(BINARY, Buffer.concat([Buffer.of(CHANNELS.indexOf(name)), bytes])),
    pauseInput: () => socket.pause(),
    resumeInput: () => socket.resume(),
    finish: async (status) => {
      await session.send("error", Buffer.from(JSON.stringify(status)));
      await write(CLOSE, Buffer.of(0x03, 0xe8));
      socket.end();
    },
  };
  const write = async (opcode, body) => {
    if (!socket.writable) return;
    if (!socket.write(Buffer.concat([header(opcode, body.length), body]))) {
      await Promise.race([once(socket, "drain"), once(socket, "close")]).catch(() => {});
    }
  };
  const onFrame = (opcode, body) => {
    if (opcode === PING) void write(PONG, body);
    else if (opcode === CLOSE) socket.end();
    else if (body[0] === CLOSE_CHANNEL) session.onInput(undefined);
    else if (body[0] === CHANNELS.indexOf("stdin") && body.length > 1) session.onInput(body.subarray(1));
  };
  let held = head;
  socket.on("data", (chunk) => {
    held = Buffer.concat([held, chunk]);
    for (let frame = parse(held); frame; frame = parse(held)) {
      held = held.subarray(frame.end);
      onFrame(frame.opcode, frame.body);
    }
  });
  socket.on("end", () => socket.end()); // Sockets of an HTTP server may be half open.
  socket.on("close", () => session.onInput(undefined));
  return session;
}

/**
 * A whole frame at the start of `bytes`, or undefined. kubectl cuts no message in pieces that matter: each
 * names its channel or continues.
 */
function parse(bytes) {
  if (bytes.length < 6) return undefined;
  const short = bytes[1] & 0x7f;
  const lengthEnd = short < 126 ? 2 : short === 126 ? 4 : 10;
  if (bytes.length < lengthEnd + 4) return undefined;
  const length =
    short < 126 ? short : short === 126 ? bytes.readUInt16BE(2) : Number(bytes.readBigUInt64BE(2));
  const start = lengthEnd + 4; // A client always masks.
  if (bytes.length < start + length) return undefined;
  const mask = bytes.subarray(lengthEnd, start);
  const body = Buffer.from(bytes.subarray(start, start + length));
  for (let at = 0; at < length; at++) body[at] ^= mask[at & 3];
  return { opcode: bytes[0] & 0x0f, body, end: start + length };
}

function header(opcode, length) {
  if (length < 126) return Buffer.of(0x80 | opcode, length);
  const long = length > 0xffff;
  const bytes = Buffer.alloc(long ? 10 : 4);
  bytes[0] = 0x80 | opcode;
  bytes[1] = long ? 127 : 126;
  if (long) bytes.writeBigUInt64BE(BigInt(length), 2);
  else bytes.writeUInt16BE(length, 2);
  return bytes;
}
