import type { Socket } from "node:net";
import type { Context } from "../core/context.ts";
import { Receiver } from "../core/receiver.ts";
import { Sender } from "../core/sender.ts";
import { ChannelError, ProtocolError } from "../errors.ts";
import { apiRef } from "../functions/api-ref.ts";
import { freeMemory } from "../links/free-memory.ts";
import { getLogger } from "../logging/log.ts";
import { piecesOf } from "../wire/pieces.ts";
import { messageOf } from "../wire/values/thrown.ts";
import { parseSshArgv, type SshRequest } from "./ssh-argv.ts";
import { decodeSshFrames, encodeSshFrame, SshFrame, type SshHello, writeSshFrame } from "./ssh-frames.ts";

/** The function in the context: src/remote/api/ssh-command.ts. */
const RUN = apiRef<[command: string, isSubsystem: boolean, output: Sender], number>("runSshCommand");
/** ssh's exit code for failures of its own. */
const FAILURE = 255;

type Frames = AsyncIterator<[type: number, body: Buffer]>;

const log = getLogger("mitogen.ssh");

/**
 * Serves one `ssh` of the tool: runs its command in `context`. Resolves when it has ended in any way. Never
 * rejects.
 */
export async function serveSsh(context: Context, socket: Socket, nonce: string): Promise<void> {
  const closed = new AbortController();
  socket.on("error", () => undefined); // the close event follows
  socket.once("close", () => closed.abort(new Error("the ssh was ended by its tool")));
  const frames = decodeSshFrames(socket);
  let code = FAILURE;
  try {
    const argv = await readHello(frames, nonce);
    if (argv === undefined) {
      socket.destroy();
      return;
    }
    code = await runRequest(context, socket, frames, parseSshArgv(argv), closed.signal);
  } catch (error) {
    const reason = messageOf(error);
    log.debug(`ssh in ${context.name} failed: ${reason}`);
    socket.write(encodeSshFrame(SshFrame.STDERR, `mitogen ssh: ${context.name}: ${reason}\n`));
  }
  if (closed.signal.aborted) return;
  socket.end(encodeSshFrame(SshFrame.EXIT, Buffer.of(code)));
  // Its last frames are read, because otherwise it would get an error before it reads ours.
  await drain(frames);
  socket.destroy();
}

/** Reads the hello. Undefined for a foreign connection, which only checks whether somebody listens. */
async function readHello(frames: Frames, nonce: string): Promise<readonly string[] | undefined> {
  const { value, done } = await frames.next();
  if (done || value[0] !== SshFrame.HELLO) return undefined;
  const hello = JSON.parse(value[1].toString()) as SshHello;
  return hello.nonce === nonce ? hello.argv : undefined;
}

async function runRequest(
  context: Context,
  socket: Socket,
  frames: Frames,
  request: SshRequest,
  signal: AbortSignal,
): Promise<number> {
  const output = new Receiver(context.router, { respondent: context });
  const { command, isSubsystem } = request;
  log.debug(`ssh in ${context.name}: ${JSON.stringify(command)}`);
  const abort = new AbortController();
  signal.addEventListener("abort", () => abort.abort(signal.reason));
  try {
    const call = context.with({ signal: abort.signal }).call(RUN, command, isSubsystem, output.toSender());
    call.then(
      // The answer comes after all output. A context that does not close the output must not hold the tool.
      () => output.abort(new ChannelError("the command has ended")),
      // A failed command has no output to wait for.
      () => output.close(),
    );
    const onStdin = (stdin: Sender): void => void feed(frames, stdin, request, abort.signal);
    const delivered = deliver(context, output, socket, onStdin);
    const [code] = await Promise.all([call, delivered]);
    // The code comes from a context unchecked.
    return Number.isInteger(code) && code >= 0 && code < 256 ? code : FAILURE;
  } finally {
    output.close();
    abort.abort(new Error("nobody reads its output any more"));
  }
}

/**
 * Passes the command's output on, no faster than the tool reads. The first message is the sender for its
 * stdin.
 */
async function deliver(
  context: Context,
  output: Receiver,
  socket: Socket,
  onStdin: (stdin: Sender) => void,
): Promise<void> {
  let hasStdin = false;
  for await (const message of output) {
    const value = message.decode();
    if (!hasStdin) {
      // The tool's input is for that context, not for another one that it names.
      if (!(value instanceof Sender) || value.contextId !== context.contextId) throw nonsense(context);
      hasStdin = true;
      onStdin(value);
      continue;
    }
    const [fd, bytes] = Array.isArray(value) ? value : [];
    if ((fd !== 1 && fd !== 2) || !(bytes instanceof Uint8Array)) throw nonsense(context);
    await writeSshFrame(socket, fd === 1 ? SshFrame.STDOUT : SshFrame.STDERR, bytes);
  }
}

function nonsense(context: Context): ProtocolError {
  return new ProtocolError(
    `Cannot run command in ${context.name}: it answered with something other than output`,
  );
}

/** Passes the tool's output on, no faster than the command reads. Never rejects. */
async function feed(
  frames: Frames,
  stdin: Sender,
  { hasNoStdin }: SshRequest,
  signal: AbortSignal,
): Promise<void> {
  let isOpen = true;
  const end = (): void => {
    if (isOpen) stdin.close();
    isOpen = false;
  };
  if (hasNoStdin) end();
  try {
    // Always read to its end: a tool may insist on writing input that the command does not read.
    for (let next = await frames.next(); !next.done; next = await frames.next()) {
      const [type, body] = next.value;
      if (type === SshFrame.STDIN_END) end();
      else {
        for (const piece of piecesOf(body, stdin.router.maxMessageBytes))
          if (isOpen) await stdin.send(piece, { signal }).catch(() => (isOpen = false));
      }
      freeMemory(body); // sending has copied it
    }
  } catch {
    // The connection broke. serveSsh() notices.
  }
  end();
}

async function drain(frames: Frames): Promise<void> {
  try {
    while (!(await frames.next()).done);
  } catch {
    // The connection has no more frames.
  }
}
