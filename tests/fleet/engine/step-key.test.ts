import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { StepKeys } from "../../../src/fleet/engine/step-key.ts";
import { Secret } from "../../../src/index.ts";

describe("StepKeys", () => {
  it("has one key for steps that are the same, whatever the order of their options", () => {
    const keys = new StepKeys();
    const password = (): string => "";
    const one = keys.keyOf([{ ssh: { hostname: "a", port: 22, password } }]);
    assert.equal(keys.keyOf([{ ssh: { password, port: 22, hostname: "a" } }]), one);
    assert.notEqual(keys.keyOf([{ ssh: { hostname: "a", port: 22, password: () => "" } }]), one);
    assert.notEqual(keys.keyOf([{ ssh: { hostname: "a", port: 22 } }]), one);
  });

  it("tells secrets apart, and does not show them", () => {
    const keys = new StepKeys();
    const of = (text: string): string => keys.keyOf([{ sudo: { password: new Secret(text) } }]);
    assert.equal(of("hunter2"), of("hunter2"));
    assert.notEqual(of("hunter2"), of("hunter3"));
    assert.doesNotMatch(of("hunter2"), /hunter/);
  });
});
