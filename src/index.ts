/** The public API. */

export type { BoundCalls, Streamable } from "./calls/caller/bound-calls.ts";
export { CallChain } from "./calls/caller/call-chain.ts";
export type { ContextCalls } from "./calls/caller/context-calls.ts";
export type { ModuleHandle, RemoteFunctions } from "./calls/caller/module-handle.ts";
export type {
  ServiceArguments,
  ServiceCalls,
  ServiceClass,
  ServiceMethod,
  ServiceProxy,
  ServiceValue,
} from "./calls/caller/service-call.ts";
export { type CurrentCall, currentCall } from "./calls/target/current-call.ts";
export type { Command } from "./commands/command.ts";
export { CommandError } from "./commands/command-error.ts";
export type { RunResult } from "./commands/command-run.ts";
export { type Run, run } from "./commands/run.ts";
export type { CommandOptions, LinesOptions, RunOptions } from "./commands/run-options.ts";
export type { CommandInput } from "./commands/running.ts";
export { type ExternalContext, econtext, takesEcontext, takesRouter } from "./connection/external-context.ts";
export {
  type KeepOptions,
  type KeptCallOptions,
  type KeptCalls,
  KeptContext,
} from "./connection/kept-context.ts";
export type { BuildahOptions } from "./connection/methods/buildah.ts";
export type { DoasOptions } from "./connection/methods/doas.ts";
export type { DockerOptions } from "./connection/methods/docker.ts";
export type { ExecOptions } from "./connection/methods/exec.ts";
export type { IncusOptions } from "./connection/methods/incus.ts";
export type { JailOptions } from "./connection/methods/jail.ts";
export type { KubectlOptions } from "./connection/methods/kubectl.ts";
export type { LocalOptions } from "./connection/methods/local.ts";
export type { LxcOptions } from "./connection/methods/lxc.ts";
export type { LxdOptions } from "./connection/methods/lxd.ts";
export {
  type BootLine,
  type ConnectionMethod,
  type ConnectOptions,
  checkOptions,
  checkTarget,
  type PasswordOptions,
  type Provision,
} from "./connection/methods/method.ts";
export type { PodmanOptions } from "./connection/methods/podman.ts";
export type { SetnsOptions } from "./connection/methods/setns.ts";
export type { SshOptions } from "./connection/methods/ssh.ts";
export type { SuOptions } from "./connection/methods/su.ts";
export type { SudoOptions } from "./connection/methods/sudo.ts";
export type { ThreadOptions } from "./connection/methods/thread.ts";
export type { Dialogue, Password, Verdict } from "./connection/prompts/dialogue.ts";
export { Router } from "./connection/router.ts";
export type { RouterOptions } from "./connection/router-options.ts";
export { isMain, runWithRouter, withRouter } from "./connection/run-with-router.ts";
export {
  type AddRuntimeOptions,
  addRuntime,
  clearRuntimes,
  listRuntimes,
  type RuntimeInfo,
} from "./connection/runtime/packs/runtimes.ts";
export type { ProvisionProgress } from "./connection/runtime/plan.ts";
export { Channel, type ChannelOptions } from "./core/channel.ts";
export { Context } from "./core/context.ts";
export type { ConnectionFacts, ContextDescription, LinkState } from "./core/describe.ts";
export { Message } from "./core/message.ts";
export { hasParentAuthority, isImmediateChild } from "./core/policies.ts";
export type { Policy } from "./core/policy.ts";
export { type GetOptions, Receiver, type ReceiverOptions } from "./core/receiver.ts";
export type { ReadResource, ResourceOwner } from "./core/resource.ts";
export type { HandlerOptions } from "./core/router.ts";
export { Select, type SelectEvent, type SelectSource } from "./core/select.ts";
export { Sender } from "./core/sender.ts";
export type { RouterStats } from "./diagnostics/stats.ts";
export {
  CallError,
  CancelledError,
  ChannelError,
  type ConnectCode,
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
export { type FileSinkTarget, type GetFileOptions, getFile } from "./files/get-file.ts";
export { PushFileService } from "./files/push-file-service.ts";
export { type FileSource, type PutFileOptions, putFile } from "./files/put-file.ts";
export type { Progress, Transfer } from "./files/transfer.ts";
export type { Arrived, FileData, FileLike } from "./functions/arrived.ts";
export type { Callable, FunctionRef } from "./functions/callable.ts";
export type { ModuleOverride, SourceModifier } from "./loader/compile/module-rules.ts";
export { ModuleError, type ModuleErrorCode } from "./loader/module-error.ts";
export type { ModuleFormat } from "./loader/module-record.ts";
export { ref } from "./loader/naming/located-ref.ts";
export type { ModuleName } from "./loader/naming/module-name.ts";
export type { ModulePattern } from "./loader/resolve/module-pattern.ts";
export type { ModuleExplanation, ModuleReader, ModuleState } from "./loader/serve/module-explanation.ts";
export { resource } from "./loader/serve/resources.ts";
export type { ModuleResponder, ModuleStats } from "./loader/serve/responder.ts";
export { getLogger, type Logger, type LogLevelName, type LogRecord } from "./logging/log.ts";
export { logToFile, onLog } from "./logging/log-to-file.ts";
export type { CallInFlight } from "./routing/in-flight.ts";
export type { ArgSpec, ArgType } from "./service/arg-spec.ts";
export {
  AllowAny,
  AllowParents,
  argSpec,
  expose,
  type MethodMark,
  noReply,
} from "./service/exposed.ts";
export { DeduplicatingInvoker, Invoker, SerializedInvoker, type ServiceCall } from "./service/invoker.ts";
export { NO_REPLY, Pool, type PoolOptions } from "./service/pool.ts";
export { type Exposed, Service } from "./service/service.ts";
export { askPassword } from "./terminal/ask-password.ts";
export {
  type ClientRouter,
  connect,
  type UnixConnection,
  type UnixConnectOptions,
} from "./unix/unix-client.ts";
export { type ListenOptions, listen, type UnixListener } from "./unix/unix-listener.ts";
export { Broker } from "./waiting/broker.ts";
export type { WaitOptions } from "./waiting/wait.ts";
export { Blob } from "./wire/values/blob.ts";
export { cast } from "./wire/values/cast.ts";
export { Secret } from "./wire/values/secret.ts";
