import type { Dispatcher } from "../../calls/target/dispatcher.ts";
import type { CoreRouter } from "../../core/router.ts";
import type { Importer } from "../../loader/evaluate/importer.ts";
import type { BrokerLink } from "../broker-link.ts";
import type { ChildConfig } from "../shared-state.ts";

/** The child in which this library runs. */
export interface Host {
  readonly router: CoreRouter;
  readonly importer: Importer;
  readonly dispatcher: Dispatcher;
  readonly config: ChildConfig;
  readonly link: BrokerLink;
  /** The nonce of the connection to the parent. A thread has none. */
  readonly nonce: string | undefined;
}
