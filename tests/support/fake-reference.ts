import { type Reviver, travelsAs, type WireReference } from "../../src/wire/values/references.ts";

/** Stands in for core's Context and Sender. */
export class FakeReference {
  static {
    travelsAs(FakeReference, (reference) => reference.form);
  }
  readonly form: WireReference;

  constructor(form: WireReference) {
    this.form = form;
  }
}

export const fakeReviver: Reviver = {
  context: (contextId, name) => new FakeReference({ kind: "context", contextId, name }),
  sender: (contextId, handle) => new FakeReference({ kind: "sender", contextId, handle }),
};
