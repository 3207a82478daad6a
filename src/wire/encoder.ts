/** Values → CBOR, as docs/encoding.md says. Refuses, with the path, whatever would not arrive as it is. */
import { Blob } from "./blob.ts";
import { CborWriter, Refusal } from "./cbor-writer.ts";
import { hide, isCallError, recordOfError } from "./error-value.ts";
import type { Limits } from "./limits.ts";
import { formatPath, type Path } from "./path.ts";
import { MAX_CONTEXT_NAME, type WireReference, wireForm } from "./references.ts";
import { Secret } from "./secret.ts";
import { Tag } from "./tags.ts";
import { isError, messageOf } from "./thrown.ts";
import { bytesOf, typedArrayBy } from "./typed-array.ts";

export interface EncodeOptions {
  /** Names the value at `path` in errors, after "Cannot send"; `value.users[3]` unless told otherwise. */
  readonly what?: (path: Path) => string;
  readonly limits?: Limits;
  /** The router that the message is for: the ids of another one mean other contexts there. */
  readonly router?: object;
}

const MAX_ERROR_DEPTH = 16;

/**
 * The chunks of one CBOR item. Bytes are copied, so the value may change as soon as this returns.
 * Throws TypeError for what cannot travel and RangeError for what is over a limit; both name the path.
 */
export function encodeValue(value: unknown, options: EncodeOptions = {}): Uint8Array[] {
  const encoder = new Encoder(options.limits);
  encoder.router = options.router;
  try {
    encoder.value(value);
    encoder.flush();
    return encoder.chunks;
  } catch (error) {
    throw explain(error, (options.what || formatPath)(encoder.where()));
  } finally {
    encoder.release();
  }
}

class Encoder extends CborWriter {
  router: object | undefined;
  private depth = 0;
  private errorDepth = 0;
  /** The containers being encoded, and where in each of them: valid below `depth`. */
  private readonly ancestors: object[] = [];
  private readonly path: (string | number)[] = [];

  where(): Path {
    return this.path.slice(0, this.depth);
  }

  value(value: unknown): void {
    switch (typeof value) {
      case "string":
        this.text(value);
        break;
      case "number":
        this.number(value);
        break;
      case "boolean":
        this.head(0xe0, value ? 21 : 20);
        break;
      case "undefined":
        this.head(0xe0, 23);
        break;
      case "bigint":
        this.bigint(value);
        break;
      case "object":
        if (value === null) this.head(0xe0, 22);
        else this.object(value);
        break;
      case "function":
        throw new Refusal(`function ${value.name} is not serialisable; pass plain data or an id instead`);
      default:
        throw new Refusal("a symbol is not serialisable; pass a string instead");
    }
  }

  private object(object: object): void {
    const prototype = Object.getPrototypeOf(object);
    if (prototype === Object.prototype || prototype === null) this.plain(object as Record<string, unknown>);
    else if (prototype === Array.prototype && Array.isArray(object)) this.list(object, object);
    else this.special(object);
  }

  private plain(object: Record<string, unknown>): void {
    const keys = Object.keys(object);
    for (const symbol of Object.getOwnPropertySymbols(object)) {
      if (Object.prototype.propertyIsEnumerable.call(object, symbol)) {
        throw new Refusal(`the key ${String(symbol)} is not serialisable; use a string`);
      }
    }
    this.enter(object, keys.length * 2);
    this.head(0xa0, keys.length);
    const at = this.depth - 1;
    for (const key of keys) {
      this.path[at] = key;
      if (key === "__proto__") throw new Refusal("a key of this name is not allowed");
      this.text(key);
      this.value(object[key]);
    }
    this.depth--;
  }

  private list(list: ArrayLike<unknown>, container: object): void {
    const length = list.length >>> 0;
    this.enter(container, length);
    this.head(0x80, length);
    const at = this.depth - 1;
    for (let i = 0; i < length; i++) {
      this.path[at] = i;
      this.value(list[i]);
    }
    this.depth--;
  }

  private map(map: Map<unknown, unknown>): void {
    // A copy: a getter may change the map after its size was written.
    const entries = Array.from(map);
    this.tag(Tag.map);
    this.enter(map, entries.length * 2);
    this.head(0xa0, entries.length);
    let i = 0;
    for (const [key, value] of entries) {
      this.path[this.depth - 1] = typeof key === "string" ? key : i;
      i++;
      this.value(key);
      this.value(value);
    }
    this.depth--;
  }

  /** Everything but plain objects and arrays of this realm. Errors come before what asks a hostile one for properties. */
  private special(object: object): void {
    if (Buffer.isBuffer(object)) this.bytes(object);
    else if (object instanceof Blob) this.bytes(bytesOf(object), Tag.blob);
    else if (object instanceof Secret) {
      this.tag(Tag.secret);
      this.text(object.reveal());
    } else if (isError(object)) this.error(object);
    else {
      const form = (object as { [wireForm]?: unknown })[wireForm];
      if (typeof form === "function") this.reference(form.call(object));
      else this.builtin(object, brandOf(object));
    }
  }

  /** By brand and not by prototype, so that values of other realms (vm contexts, jest) pass. */
  private builtin(object: object, brand: string): void {
    const row = typedArrayBy(brand.replace(" 3", ""));
    if (row) this.bytes(bytesOf(object as ArrayBufferView), row[0]);
    else if (brand === "Object 1") this.plain(object as Record<string, unknown>);
    else if (brand === "Array 2") this.list(object as unknown[], object);
    else if (brand === "Map 2") this.map(object as Map<unknown, unknown>);
    else if (brand === "Set 2") {
      this.tag(Tag.set);
      this.list(Array.from(object as Set<unknown>), object);
    } else if (brand === "Date 2") {
      this.tag(Tag.date);
      this.number((object as Date).getTime() / 1000);
    } else throw new Refusal(reasonAgainst(object, brand));
  }

  /** Whatever of an error does not travel is left out: a report with holes beats none. */
  private error(error: Error): void {
    if (this.errorDepth === MAX_ERROR_DEPTH) throw new Refusal("too many errors inside errors", RangeError);
    const [name, message, stack, properties, errors, causes] = recordOfError(error);
    this.tag(isCallError(error) ? Tag.callError : Tag.error);
    // Paid in advance, so that whatever the rest may cost, the record can be completed.
    this.enter(error, 6 + causes.length);
    this.enter(causes, 0);
    this.errorDepth++;
    this.head(0x80, 6);
    this.text(name);
    this.text(message);
    this.value(stack);

    // How many survive is known afterwards; a flush in between leaves the count at its place, in the next chunk.
    this.head(0xa0, 0);
    const chunk = this.chunks.length;
    const place = this.used - 1;
    let count = 0;
    for (const [key, value] of properties) {
      if (this.attempt(() => this.property(key, value))) count++;
    }
    (this.chunks[chunk] || this.scratch)[place] = 0xa0 + count;
    if (errors === null || !this.attempt(() => this.members(errors))) this.value(null);
    if (causes.length === 0 || !this.attempt(() => this.cause(causes[0]))) this.head(0x80, 0);
    this.depth -= 2;
    this.errorDepth--;
  }

  private property(key: string, value: unknown): void {
    this.charge(2);
    this.text(key);
    this.value(value);
  }

  private members(errors: readonly unknown[]): void {
    const length = errors.length >>> 0;
    this.charge(length);
    this.head(0x80, length);
    for (let i = 0; i < length; i++) this.attempt(() => this.value(errors[i])) || this.value(undefined);
  }

  private cause(cause: unknown): void {
    this.head(0x80, 1);
    this.value(cause);
  }

  /**
   * Does all that `encode` does or nothing of it. Only the items stay counted: otherwise errors that refer to
   * errors several times would be tried again and again, without end in practice.
   */
  private attempt(encode: () => void): boolean {
    const { used, flushed, depth, errorDepth, chunks, scratch } = this;
    const chunk = chunks.length;
    try {
      encode();
      return true;
    } catch {
      // What scratch held went into the first chunk since.
      if (chunks.length > chunk) chunks[chunk]!.copy(scratch, 0, 0, used);
      chunks.length = chunk;
      Object.assign(this, { used, flushed, depth, errorDepth });
      return false;
    }
  }

  private reference(form: WireReference): void {
    if (this.router !== undefined && form.router !== undefined && form.router !== this.router) {
      throw new Refusal(`a ${form.kind} of another Router means nothing here; use one of this Router`);
    }
    this.tag(form.kind === "context" ? Tag.context : Tag.sender);
    this.head(0x80, 2);
    this.head(0, form.contextId);
    if (form.kind === "sender") this.head(0, form.handle);
    else if (form.name.length < MAX_CONTEXT_NAME) this.text(form.name);
    else throw new Refusal("the name of the context is too long", RangeError);
  }

  private enter(container: object, items: number): void {
    const { ancestors, depth } = this;
    for (let i = 0; i < depth; i++) {
      if (ancestors[i] === container) throw new Refusal("a cycle is not serialisable; it is inside itself");
    }
    const max = this.limits.maxDepth;
    if (depth === max) throw new Refusal(`it is nested deeper than ${max} levels`, RangeError);
    this.charge(items);
    ancestors[depth] = container;
    this.depth = depth + 1;
  }
}

function explain(error: unknown, what: string): Error {
  if (error instanceof Refusal) return new error.type(`Cannot send ${what}: ${error.reason}`);
  // A getter or a proxy threw.
  const wrapper = new TypeError(`Cannot send ${what}: reading it failed: ${messageOf(error)}`);
  hide(wrapper, "cause", error);
  return wrapper;
}

/** "Map 2": the builtin's name and the length of the prototype chain, which is longer for a class that extends it. */
function brandOf(object: object): string {
  let rank = 0;
  // Capped: the chain of a proxy may be endless.
  for (let at = Object.getPrototypeOf(object); at !== null && rank < 9; at = Object.getPrototypeOf(at))
    rank++;
  return `${Object.prototype.toString.call(object).slice(8, -1)} ${rank}`;
}

function reasonAgainst(object: object, brand: string): string {
  if (brand === "Promise 2") return "a promise is not serialisable; await it first";
  const type = object.constructor as { name?: unknown } | undefined;
  return `an instance of class ${String(type?.name)} is not serialisable; pass plain data, or a copy made by cast()`;
}
