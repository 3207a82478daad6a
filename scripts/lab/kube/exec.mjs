// One `exec` in a pod: a process in the pod's namespaces between the channels of a session.
import { spawn } from "node:child_process";
import { constants } from "node:os";

const SUCCESS = { metadata: {}, status: "Success" };

/**
 * Runs `command` inside the namespaces of process `leader`. A session has `names`, the channels that were
 * asked for, `send(name, bytes)` → promise, `finish(status)`, and calls `onInput(bytes | undefined)` set
 * here; undefined ends the input. As in a real cluster the process is not ended with the session; its input
 * is.
 */
export function execInPod(leader, command, session) {
  const child = spawn("nsenter", ["-t", String(leader), "-a", "-r", "-w", "--", ...command], {
    stdio: ["stdin", "stdout", "stderr"].map((name) => (session.names.has(name) ? "pipe" : "ignore")),
    env: { PATH: "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", HOSTNAME: "mitogen-lab" },
  });
  child.stdin?.on("error", () => {}); // It may end without reading everything.
  session.onInput = (bytes) => {
    if (bytes === undefined) child.stdin?.end();
    else if (child.stdin?.writable && !child.stdin.write(bytes)) {
      session.pauseInput();
      child.stdin.once("drain", () => session.resumeInput());
    }
  };
  child.stdin?.once("close", () => session.resumeInput());
  const ends = ["stdout", "stderr"]
    .filter((name) => child[name])
    .map((name) => copy(child[name], session, name));
  child.once("error", (error) => session.finish(failure("InternalError", error.message)));
  child.once("exit", async (code, signal) => {
    await Promise.all(ends);
    session.finish(code === 0 ? SUCCESS : nonZero(code ?? 128 + constants.signals[signal]));
  });
}

async function copy(stream, session, name) {
  for await (const bytes of stream) await session.send(name, bytes);
}

function nonZero(code) {
  const message = `command terminated with non-zero exit code: exit status ${code}`;
  const causes = [{ reason: "ExitCode", message: String(code) }];
  return { ...failure("NonZeroExitCode", message), details: { causes } };
}

function failure(reason, message) {
  return { metadata: {}, status: "Failure", reason, message };
}
