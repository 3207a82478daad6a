import { Broker } from "../../src/waiting/broker.ts";

/** A broker that counts its holds, and keeps nothing alive. */
export class FakeBroker extends Broker {
  holds = 0;

  override hold(): void {
    this.holds += 1;
  }

  override release(): void {
    this.holds -= 1;
  }
}
