/** The public API. */

export { type BuildahOptions } from "./connection/buildah.ts";
export { type Dialogue, type Password, type PasswordOptions } from "./connection/dialogue.ts";
export { type DoasOptions } from "./connection/doas.ts";
export { type DockerOptions } from "./connection/docker.ts";
export { type ExecOptions } from "./connection/exec.ts";
export { type ExternalContext, econtext, takesEcontext, takesRouter } from "./connection/external-context.ts";
export { type IncusOptions } from "./connection/incus.ts";
export { type JailOptions } from "./connection/jail.ts";
export { type KubectlOptions } from "./connection/kubectl.ts";
export { type LocalOptions } from "./connection/local.ts";
export { type LxcOptions } from "./connection/lxc.ts";
export { type LxdOptions } from "./connection/lxd.ts";
export {
  type BootLine,
  type ConnectionMethod,
  type ConnectOptions,
  checkOptions,
  checkTarget,
  type Verdict,
} from "./connection/method.ts";
export { type PodmanOptions } from "./connection/podman.ts";
export { Router, type RouterOptions, type RouterStats } from "./connection/router.ts";
export { isMain, runWithRouter, withRouter } from "./connection/run-with-router.ts";
export { type SetnsOptions } from "./connection/setns.ts";
export { type SshOptions } from "./connection/ssh.ts";
export { type SuOptions } from "./connection/su.ts";
export { type SudoOptions } from "./connection/sudo.ts";
export { type ThreadOptions } from "./connection/thread.ts";
export {
  type ClientRouter,
  connect,
  type UnixConnection,
  type UnixConnectOptions,
} from "./connection/unix-client.ts";
export { type ListenOptions, listen, type UnixListener } from "./connection/unix-listener.ts";
export { Broker } from "./core/broker.ts";
export { type BoundCalls, Context } from "./core/context.ts";
export { type Callable, FunctionRef } from "./core/function-ref.ts";
export { getLogger, type Logger, type LogLevelName, type LogRecord } from "./core/log.ts";
export { Message } from "./core/message.ts";
export { hasParentAuthority, isImmediateChild, type Policy } from "./core/policy.ts";
export { Receiver, type ReceiverOptions } from "./core/receiver.ts";
export { ref } from "./core/ref.ts";
export { type HandlerOptions } from "./core/router.ts";
export { Sender } from "./core/sender.ts";
export { type WaitOptions } from "./core/wait.ts";
export {
  CallError,
  CancelledError,
  ChannelError,
  type ConnectDetails,
  type ConnectStage,
  EofError,
  HostKeyError,
  MitogenError,
  PasswordError,
  ProtocolError,
  SelectError,
  StreamError,
  TimeoutError,
} from "./errors.ts";
export { ModuleError } from "./loader/module-error.ts";
export { type ModuleResponder, type ModuleStats } from "./loader/responder.ts";
export { logToFile, onLog } from "./logging/log-to-file.ts";
export { Blob } from "./wire/blob.ts";
export { cast } from "./wire/cast.ts";
export { Secret } from "./wire/secret.ts";
