/** A packed runtime, with everything that is needed to bring it to a target: docs/provision.md#the-pack. */
export interface RuntimePlan {
  /** The SHA-256 of the unpacked bytes in lowercase hexadecimal digits. It names the runtime everywhere. */
  readonly hash: string;
  /** In Node's words: `linux`, `x64`. */
  readonly platform: string;
  readonly arch: string;
  /** What the executable was linked for: `musl`, or anything else. */
  readonly libc: "glibc" | "musl" | "static";
  /** What `node -v` prints; empty if it is not known. */
  readonly version: string;
  /** How many bytes the runtime has unpacked, and as it travels. */
  readonly rawBytes: number;
  readonly packedBytes: number;
  /**
   * The libraries after the executable. Empty if it comes without libraries. Offsets and lengths are
   * multiples of {@link BLOCK_BYTES}.
   */
  readonly libraries: readonly PackedFile[];
  /** The changes that make the executable use them; absent if it comes without libraries, or cannot use them. */
  readonly own?: OwnLibraries | undefined;
}

export interface PackedFile {
  readonly name: string;
  readonly offset: number;
  readonly bytes: number;
}

/** Changes of an executable that keep its length. */
export interface OwnLibraries {
  /** The loader among the libraries. */
  readonly loader: string;
  /** The offset of a block of zeros, for the path of the loader. */
  readonly pathOffset: number;
  /** Bytes that replace those of the executable, as hexadecimal digits. */
  readonly patches: readonly { readonly offset: number; readonly hex: string }[];
}

/**
 * Files in a pack begin at multiples of this, so that `dd` can read them. Also the longest path of a loader.
 */
export const BLOCK_BYTES = 4096;
/** The handle at which contexts ask the contexts above them for runtimes: docs/protocol.md#get_runtime. */
export const GET_RUNTIME = 118;
/** How many bytes of a pack are read at once. */
export const CHUNK_BYTES: number = 256 * 1024;

/** Why a target gets no node. */
export class ProvisionFailure extends Error {
  readonly code: ProvisionCode;
  readonly hint: string;

  constructor(code: ProvisionCode, message: string, hint: string) {
    super(message);
    this.code = code;
    this.hint = hint;
  }
}

export type ProvisionCode = "ERR_NO_RUNTIME" | "ERR_PROVISION" | "ERR_NO_SPACE" | "ERR_POLICY";
export type ProvisionMode = "cache" | "memory";

/** The source of runtimes: the program's store, or, in a hop, the contexts above it. */
export interface RuntimeSupply {
  /**
   * The runtimes that may run on a target, the best first. `system` is what `uname -sm` prints there. Rejects
   * with a {@link ProvisionFailure} if there is none.
   */
  choose(system: string): Promise<readonly RuntimePlan[]>;
  /** Bytes of a pack; fewer than {@link CHUNK_BYTES} only at its end. */
  read(plan: RuntimePlan, offset: number): Promise<Uint8Array>;
}

/** What `onProgress` gets while a runtime is uploaded. */
export interface ProvisionProgress {
  /** The connection method of the new context: `ssh`. */
  readonly method: string;
  /** How many bytes have been sent. */
  readonly sentBytes: number;
  /** How many bytes there are to send. */
  readonly totalBytes: number;
}

/** A connect whose target has no node, as the code sees it that brings one. */
export interface ProvisionTarget {
  readonly method: string;
  readonly nonce: string;
  readonly system: string;
  /** Makes the target's shell evaluate a line. */
  command(script: string): void;
  /** Resolves when there is room for more; rejects when the connect is over. */
  send(bytes: Uint8Array): Promise<void>;
  /** Sends the bytes that start a context again, because the target may have dropped them. */
  boot(): void;
  /** True sends these bytes as soon as the target's shell goes on; false waits for `boot`. */
  bootAfter(isShell: boolean): void;
  /** Reports progress: the connect's time limit begins again. */
  progress(sentBytes?: number, totalBytes?: number): void;
  fail(failure: ProvisionFailure): void;
  /** Rejects when the connect is over. */
  readonly over: Promise<never>;
}

/** Brings node to one target. */
export interface Provisioning {
  /** What the target has said. */
  said(text: string): void;
}

/**
 * Returns how a target gets a node, or undefined if it may not get one. Called only when a target has none.
 */
export type OpenProvisioner = () => Promise<((target: ProvisionTarget) => Provisioning) | undefined>;
