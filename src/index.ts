/** The public API. */

export { type CurrentCall, currentCall } from "./calls/current-call.ts";
export type { Command } from "./commands/command.ts";
export { CommandError } from "./commands/command-error.ts";
export type { RunResult } from "./commands/command-run.ts";
export { type Run, run } from "./commands/run.ts";
export type { CommandOptions, LinesOptions, RunOptions } from "./commands/run-options.ts";
export type { CommandInput } from "./commands/running.ts";
export type { BuildahOptions } from "./connection/buildah.ts";
export type { Dialogue, Password, PasswordOptions } from "./connection/dialogue.ts";
export type { DoasOptions } from "./connection/doas.ts";
export type { DockerOptions } from "./connection/docker.ts";
export type { ExecOptions } from "./connection/exec.ts";
export { type ExternalContext, econtext, takesEcontext, takesRouter } from "./connection/external-context.ts";
export type { IncusOptions } from "./connection/incus.ts";
export type { JailOptions } from "./connection/jail.ts";
export {
  type KeepOptions,
  type KeptCallOptions,
  type KeptCalls,
  KeptContext,
} from "./connection/kept-context.ts";
export type { KubectlOptions } from "./connection/kubectl.ts";
export type { LocalOptions } from "./connection/local.ts";
export type { LxcOptions } from "./connection/lxc.ts";
export type { LxdOptions } from "./connection/lxd.ts";
export {
  type BootLine,
  type ConnectionMethod,
  type ConnectOptions,
  checkOptions,
  checkTarget,
  type Provision,
  type Verdict,
} from "./connection/method.ts";
export type { PodmanOptions } from "./connection/podman.ts";
export { Router, type RouterOptions } from "./connection/router.ts";
export { isMain, runWithRouter, withRouter } from "./connection/run-with-router.ts";
export type { ProvisionProgress } from "./connection/runtime/plan.ts";
export {
  type AddRuntimeOptions,
  addRuntime,
  clearRuntimes,
  listRuntimes,
  type RuntimeInfo,
} from "./connection/runtime/runtimes.ts";
export type { SetnsOptions } from "./connection/setns.ts";
export type { SshOptions } from "./connection/ssh.ts";
export type { RouterStats } from "./connection/stats.ts";
export type { SuOptions } from "./connection/su.ts";
export type { SudoOptions } from "./connection/sudo.ts";
export type { ThreadOptions } from "./connection/thread.ts";
export {
  type ClientRouter,
  connect,
  type UnixConnection,
  type UnixConnectOptions,
} from "./connection/unix-client.ts";
export { type ListenOptions, listen, type UnixListener } from "./connection/unix-listener.ts";
export type { Arrived, FileData, FileLike } from "./core/arrived.ts";
export type { BoundCalls } from "./core/bound-calls.ts";
export { Broker } from "./core/broker.ts";
export { CallChain } from "./core/call-chain.ts";
export { Channel, type ChannelOptions } from "./core/channel.ts";
export { Context } from "./core/context.ts";
export type { ConnectionFacts, ContextDescription, LinkState } from "./core/describe.ts";
export { type Callable, FunctionRef } from "./core/function-ref.ts";
export type { CallInFlight } from "./core/in-flight.ts";
export { getLogger, type Logger, type LogLevelName, type LogRecord } from "./core/log.ts";
export { Message } from "./core/message.ts";
export type { ModuleHandle, RemoteFunctions } from "./core/module-handle.ts";
export { hasParentAuthority, isImmediateChild, type Policy } from "./core/policy.ts";
export { type GetOptions, Receiver, type ReceiverOptions } from "./core/receiver.ts";
export { ref } from "./core/ref.ts";
export type { ReadResource, ResourceOwner } from "./core/resource.ts";
export type { HandlerOptions } from "./core/router.ts";
export { Select, type SelectEvent, type SelectSource } from "./core/select.ts";
export { Sender } from "./core/sender.ts";
export type {
  ServiceArguments,
  ServiceCalls,
  ServiceClass,
  ServiceMethod,
  ServiceProxy,
  ServiceValue,
} from "./core/service-call.ts";
export type { WaitOptions } from "./core/wait.ts";
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
export { runSsh } from "./fakessh/run-ssh.ts";
export type { RunSshOptions, ToolResult } from "./fakessh/run-tool.ts";
export {
  type Fetched,
  FileService,
  type FileServiceOptions,
  type ServedMetadata,
} from "./files/file-service.ts";
export { type GetFileOptions, getFile } from "./files/get-file.ts";
export { PushFileService } from "./files/push-file-service.ts";
export { type PutFileOptions, putFile } from "./files/put-file.ts";
export type { Progress, Transfer } from "./files/transfer.ts";
export { ModuleError } from "./loader/module-error.ts";
export type { ModuleExplanation, ModuleReader, ModuleState } from "./loader/module-explanation.ts";
export type { ModuleName } from "./loader/module-name.ts";
export type { ModulePattern } from "./loader/module-pattern.ts";
export type { ModuleFormat } from "./loader/module-record.ts";
export type { ModuleOverride, SourceModifier } from "./loader/module-rules.ts";
export { resource } from "./loader/resources.ts";
export type { ModuleResponder, ModuleStats } from "./loader/responder.ts";
export { logToFile, onLog } from "./logging/log-to-file.ts";
export type { ArgSpec, ArgType } from "./service/arg-spec.ts";
export {
  AllowAny,
  AllowParents,
  argSpec,
  type Exposed,
  expose,
  type MethodMark,
  noReply,
} from "./service/exposed.ts";
export { DeduplicatingInvoker, Invoker, SerializedInvoker, type ServiceCall } from "./service/invoker.ts";
export { NO_REPLY, Pool, type PoolOptions } from "./service/pool.ts";
export { Service } from "./service/service.ts";
export { askPassword } from "./terminal/ask-password.ts";
export { Blob } from "./wire/blob.ts";
export { cast } from "./wire/cast.ts";
export { Secret } from "./wire/secret.ts";
