/**
 * Values → CBOR, as docs/encoding.md says. Refuses, with the path, any value that would not arrive unchanged.
 */
import { Blob } from "../values/blob.ts";
import { hide, isCallError, recordOfError } from "../values/error-value.ts";
import { formatPath, type Path } from "../values/path.ts";
import { MAX_CONTEXT_NAME, type WireReference, wireForm } from "../values/references.ts";
import { type PlainForm, Refusal } from "../values/refusal.ts";
import { Secret } from "../values/secret.ts";
import { attempt, isError, messageOf } from "../values/thrown.ts";
import { bytesOf, typedArrayBy } from "../values/typed-array.ts";
import { CborWriter } from "./cbor-writer.ts";
import { DEFAULT_LIMITS, type Limits, MAX_URL } from "./limits.ts";
import { Tag } from "./tags.ts";

/** What the encoder knows of a router. */
interface SendingRouter {
  readonly maxMessageBytes: number;
}

export interface EncodeOptions {
  /** Names the value at `path` in errors, after "Cannot send". By default `value.users[3]`. */
  readonly what?: (path: Path) => string;
  readonly limits?: Limits;
  /** The router that sends the message. References of another router are refused: their ids mean other contexts. */
  readonly router?: SendingRouter | undefined;
  /**
   * The encoded beginning of a list whose last item is the value. Only with `what`; the first element of the
   * path is then meaningless.
   */
  readonly head?: Buffer | undefined;
}

const MAX_ERROR_DEPTH = 16;
/** What an error leaves free of `maxMessageBytes`, for the texts in place of its fields that do not fit. */
const ERROR_RESERVE_BYTES = 8 * 1024;

let plainForm: PlainForm = (_, refusal) => {
  throw new refusal("it is not serialisable");
};

/**
 * Sets the function that finds plain forms. It is not part of the payload, because it is large and a child does
 * not need it for its first call. It comes with calls/caller/router-features.ts.
 */
export function setPlainForm(form: PlainForm): void {
  plainForm = form;
}

// Undefined while the encoder is in use, because a getter may itself encode something.
let spare: Encoder | undefined;

/**
 * Returns the chunks of one CBOR item. Bytes are copied, so the value may change as soon as this returns.
 * Throws TypeError for a value that cannot travel and RangeError for one over a limit. Both name the path.
 */
export function encodeValue(value: unknown, options: EncodeOptions = {}): Uint8Array[] {
  const encoder = spare || new Encoder();
  spare = undefined;
  try {
    const chunks = encoder.encode(value, options);
    // A failed encoder is dropped with everything it holds.
    spare = encoder;
    return chunks;
  } catch (error) {
    throw explain(error, (options.what || formatPath)(encoder.where()));
  }
}

class Encoder extends CborWriter {
  private router: SendingRouter | undefined;
  private depth = 0;
  private errorDepth = 0;
  /** The containers being encoded, and the position in each of them. Valid below `depth`. */
  private readonly ancestors: unknown[] = [];
  private readonly path: (string | number)[] = [];

  encode(value: unknown, { limits = DEFAULT_LIMITS, router, head }: EncodeOptions): Buffer[] {
    this.limits = limits;
    this.router = router;
    if (head) {
      // Charged for each byte, because its items are fewer.
      this.enterContainer(head, head.length);
      this.writeRaw(head, head.length);
    }
    this.value(value);
    this.depth = 0;
    // The encoder keeps no part of the value.
    this.ancestors.fill(0);
    return this.finishItem();
  }

  where(): Path {
    return this.path.slice(0, this.depth);
  }

  value(value: unknown): void {
    switch (typeof value) {
      case "string":
        this.writeText(value);
        break;
      case "number":
        this.writeNumber(value);
        break;
      case "boolean":
        this.writeHead(0xe0, value ? 21 : 20);
        break;
      case "undefined":
        this.writeHead(0xe0, 23);
        break;
      case "bigint":
        this.writeBigint(value);
        break;
      case "object":
        if (value === null) this.writeHead(0xe0, 22);
        else this.writeObject(value);
        break;
      default:
        this.value(plainForm(value, Refusal));
    }
  }

  private writeObject(object: object): void {
    const prototype = Object.getPrototypeOf(object);
    if (prototype === Object.prototype || prototype === null)
      this.writePlain(object as Record<string, unknown>);
    else if (prototype === Array.prototype && Array.isArray(object)) this.writeList(object, object);
    else this.writeSpecial(object);
  }

  private writePlain(object: Record<string, unknown>): void {
    const keys = Object.keys(object);
    for (const symbol of Object.getOwnPropertySymbols(object)) {
      if (Object.prototype.propertyIsEnumerable.call(object, symbol)) {
        throw new Refusal(`the key ${String(symbol)} is not serialisable; use a string`);
      }
    }
    this.enterContainer(object, keys.length * 2);
    this.writeHead(0xa0, keys.length);
    const at = this.depth - 1;
    for (const key of keys) {
      this.path[at] = key;
      if (key === "__proto__") throw new Refusal("a key of this name is not allowed");
      this.writeText(key);
      this.value(object[key]);
    }
    this.depth--;
  }

  private writeList(list: ArrayLike<unknown>, container: object): void {
    const length = list.length >>> 0;
    this.enterContainer(container, length);
    this.writeHead(0x80, length);
    const at = this.depth - 1;
    for (let i = 0; i < length; i++) {
      this.path[at] = i;
      this.value(list[i]);
    }
    this.depth--;
  }

  private writeMap(map: Map<unknown, unknown>): void {
    // A copy, because a getter may change the map after its size was written.
    const entries = Array.from(map);
    this.writeTag(Tag.map);
    this.enterContainer(map, entries.length * 2);
    this.writeHead(0xa0, entries.length);
    let i = 0;
    for (const [key, value] of entries) {
      this.path[this.depth - 1] = typeof key === "string" ? key : i;
      i++;
      this.value(key);
      this.value(value);
    }
    this.depth--;
  }

  /**
   * Writes everything but plain objects and arrays of this realm. Recognises errors before it reads a property,
   * because an error may be hostile: its getters may throw.
   */
  private writeSpecial(object: object): void {
    if (Buffer.isBuffer(object)) this.writeBytes(object);
    else if (object instanceof Blob) this.writeBytes(bytesOf(object), Tag.blob);
    else if (object instanceof Secret) {
      this.writeTag(Tag.secret);
      this.writeText(object.reveal());
    } else if (isError(object)) this.writeError(object);
    else {
      const form = (object as { [wireForm]?: unknown })[wireForm];
      if (typeof form === "function") this.writeReference(form.call(object));
      else this.writeBuiltin(object, brandOf(object));
    }
  }

  /** Recognises values by brand and not by prototype, so that values of other realms (vm contexts, jest) pass. */
  private writeBuiltin(object: object, brand: string): void {
    const row = typedArrayBy(brand.replace(" 3", ""));
    if (row) this.writeBytes(bytesOf(object as ArrayBufferView), row[0]);
    else if (brand === "Object 1") this.writePlain(object as Record<string, unknown>);
    else if (brand === "Array 2") this.writeList(object as unknown[], object);
    else if (brand === "Map 2") this.writeMap(object as Map<unknown, unknown>);
    else if (brand === "Set 2") {
      this.writeTag(Tag.set);
      this.writeList(Array.from(object as Set<unknown>), object);
    } else if (brand === "Date 2") {
      this.writeTag(Tag.date);
      this.writeNumber((object as Date).getTime() / 1000);
    } else if (brand === "URL 2" && (object as URL).href.length <= MAX_URL) {
      this.writeTag(Tag.url);
      this.writeText((object as URL).href);
    } else this.value(plainForm(object, Refusal));
  }

  /** Writes an error without the fields that cannot travel, because an incomplete report is better than none. */
  private writeError(error: Error): void {
    if (this.errorDepth === MAX_ERROR_DEPTH) throw new Refusal("too many errors inside errors", RangeError);
    const [name, message, stack, properties, errors, causes] = recordOfError(error);
    this.writeTag(isCallError(error) ? Tag.callError : Tag.error);
    // Counted in advance, so that the record can be completed whatever the rest costs.
    this.enterContainer(error, 7 + 2 * properties.length);
    this.errorDepth++;
    this.writeHead(0x80, 6);
    this.writeText(name);
    this.writeText(message);
    this.writeOr(null, stack);
    this.enterContainer(properties, 0);
    this.writeHead(0xa0, properties.length);
    for (const [key, value] of properties) {
      this.writeText(key);
      // The receiver leaves out properties that are undefined.
      this.writeOr(undefined, value);
    }
    this.depth--;
    this.writeOr(null, errors);
    this.writeOr([], causes);
    this.depth--;
    this.errorDepth--;
  }

  /**
   * Writes `field`, or `other` if that throws. If the field is over a limit, a text that says so takes its place, or
   * its member's place. Undoes everything except the count of items. Without the count, errors that refer to other
   * errors several times would be tried again and again, practically without end.
   */
  private writeOr(other: unknown, field: unknown): void {
    const { used, flushed, depth, errorDepth } = this;
    const { length } = this.chunks;
    try {
      if (other === null && Array.isArray(field)) this.writeMembers(field);
      else this.value(field);
      if (this.router) this.checkSize(this.used + ERROR_RESERVE_BYTES, this.router.maxMessageBytes);
    } catch (error) {
      // The content of scratch has since moved into the first chunk.
      if (this.chunks.length > length) this.chunks[length]!.copy(this.scratch, 0, 0, used);
      this.chunks.length = length;
      Object.assign(this, { used, flushed, depth, errorDepth });
      // Not `instanceof`, because user code may have thrown it.
      const reason = attempt(
        () => (error as Refusal).type === RangeError && `[not sent: ${(error as Refusal).reason}]`,
      );
      if (reason && other !== null) {
        if (other) this.writeHead(0x80, 1);
        this.value(reason);
      } else this.value(other);
    }
  }

  /** Writes the errors of an AggregateError. */
  private writeMembers(errors: readonly unknown[]): void {
    const length = errors.length >>> 0;
    this.enterContainer(errors, length);
    this.writeHead(0x80, length);
    for (let i = 0; i < length; i++) this.writeOr(undefined, errors[i]);
    this.depth--;
  }

  private writeReference(form: WireReference): void {
    if (this.router !== undefined && form.router !== undefined && form.router !== this.router) {
      throw new Refusal(`a ${form.kind} of another Router means nothing here; use one of this Router`);
    }
    this.writeTag(form.kind === "context" ? Tag.context : Tag.sender);
    this.writeHead(0x80, 2);
    this.writeHead(0, form.contextId);
    if (form.kind === "sender") this.writeHead(0, form.handle);
    else if (form.name.length < MAX_CONTEXT_NAME) this.writeText(form.name);
    else throw new Refusal("the name of the context is too long", RangeError);
  }

  private enterContainer(container: object, items: number): void {
    const { ancestors, depth } = this;
    for (let i = 0; i < depth; i++) {
      if (ancestors[i] === container) throw new Refusal("a cycle is not serialisable; it is inside itself");
    }
    const max = this.limits.maxDepth;
    if (depth === max) throw new Refusal(`it is nested deeper than ${max} levels`, RangeError);
    this.chargeItems(items);
    ancestors[depth] = container;
    this.depth = depth + 1;
  }
}

function explain(error: unknown, what: string): Error {
  if (error instanceof Refusal) return new error.type(`Cannot send ${what}: ${error.reason}`);
  // A getter or a proxy has thrown.
  const wrapper = new TypeError(`Cannot send ${what}: reading it failed: ${messageOf(error)}`);
  hide(wrapper, "cause", error);
  return wrapper;
}

/** "Map 2": the builtin's name and the length of the prototype chain, which is longer for a subclass. */
function brandOf(object: object): string {
  let rank = 0;
  // Capped, because the chain of a proxy may be endless.
  for (let at = Object.getPrototypeOf(object); at !== null && rank < 9; at = Object.getPrototypeOf(at))
    rank++;
  return `${Object.prototype.toString.call(object).slice(8, -1)} ${rank}`;
}
