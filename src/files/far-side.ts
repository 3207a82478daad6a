import { Receiver } from "../core/receiver.ts";
import type { CoreRouter } from "../core/router.ts";
import type { Sender } from "../core/sender.ts";
import { apiRef } from "../functions/api-ref.ts";
import type { FunctionRef } from "../functions/callable.ts";
import { openFileSink, type SinkOptions } from "./ends/file-sink.ts";
import { type Offer, openFile } from "./ends/source.ts";
import { receive, send, type Transfer } from "./transfer.ts";

/** The first message of the writing end: the sender to use, and the bytes that it already has. */
export type SinkReady = readonly [sender: Sender<unknown>, offer: Offer];

/** Functions of the part `mitogen:api` that `getFile` and `putFile` call. */
export const READ_FILE: FunctionRef<[path: string, sender: Sender<unknown>, offer: Offer], void> =
  apiRef("readFileTo");
export const WRITE_FILE: FunctionRef<
  [path: string, control: Sender<SinkReady>, options: SinkOptions],
  Transfer
> = apiRef("writeFileFrom");

/**
 * The other end of transfers, in a child. Both functions end when the near end closes its receiver or sender,
 * or is gone.
 */
export function farSideOf(router: CoreRouter): Record<string, (...args: never[]) => unknown> {
  return {
    async readFileTo(path: string, sender: Sender<unknown>, offer: Offer): Promise<void> {
      const source = await openFile(path);
      try {
        await send(source, sender, offer);
      } finally {
        await source.close();
      }
    },
    async writeFileFrom(path: string, control: Sender<SinkReady>, options: SinkOptions): Promise<Transfer> {
      const sink = await openFileSink(path, options);
      const receiver = new Receiver<unknown>(router, { respondent: router.contextById(control.contextId) });
      try {
        await control.send([receiver.toSender(), sink.offer]);
        const transfer = await receive(sink, receiver);
        await sink.commit();
        return transfer;
      } catch (error) {
        await sink.abandon(error);
        throw error;
      } finally {
        receiver.close();
      }
    },
  };
}
