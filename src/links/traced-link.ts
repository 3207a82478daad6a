import { getLogger } from "../logging/log.ts";
import { type Frame, frameLength } from "../wire/frame.ts";
import type { LinkEvents } from "./link.ts";
import { StreamLink } from "./stream-link.ts";

const log = getLogger("mitogen.io");

/** A link whose frames are logged at level IO. */
export class TracedLink extends StreamLink {
  override open(events: LinkEvents): void {
    const { onBytes } = events;
    super.open({
      onFrame: (frame) => {
        if (log.isEnabled("io")) this.trace("received", frame);
        events.onFrame(frame);
      },
      onBytes: onBytes && ((...bytes) => !log.isEnabled("io") && onBytes(...bytes)),
      onClosed: (reason) => events.onClosed(reason),
      onDrained: () => events.onDrained?.(),
    });
  }

  override send(frame: Frame): boolean {
    if (log.isEnabled("io")) this.trace("sent", frame);
    return super.send(frame);
  }

  override sendBytes(bytes: Buffer, start: number, end: number): boolean {
    return !log.isEnabled("io") && super.sendBytes(bytes, start, end);
  }

  /** Bodies are never logged, because they may hold secrets. */
  private trace(verb: string, frame: Frame): void {
    log.io(
      `${this.name}: ${verb} ${frameLength(frame)} bytes ${frame.srcId}:${frame.replyTo} -> ${frame.dstId}:${frame.handle} auth ${frame.authId}`,
    );
  }
}
