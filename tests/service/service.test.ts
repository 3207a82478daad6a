import assert from "node:assert/strict";
import { test } from "node:test";
import { Router } from "../../src/index.ts";
import { Service } from "../../src/service/service.ts";
import { Greeter, Named } from "../fixtures/remote/services.ts";
import { servicePair } from "../support/service-pair.ts";

const GREETER = new URL("../fixtures/remote/services.js#Greeter", import.meta.url).href;

class Unexported extends Service {}
class InheritsName extends Named {}

test("Service.name is the module and export of its class, or its serviceName", async () => {
  await using router = new Router();
  assert.equal(new Greeter(router).name(), GREETER);
  assert.equal(new Named(router).name(), "named");
  assert.equal(new Greeter(router).router, router);
});

test("Service.name can be overridden, and a serviceName is not inherited", async () => {
  const { master } = servicePair();
  assert.equal(new InheritsName(master).name(), "file:///fake.js#InheritsName");
  class Own extends Service {
    override name(): string {
      return "own";
    }
  }
  assert.equal(new Own(master).name(), "own");
});

test("Service.name refuses a class that is not exported, with the cure", async () => {
  await using router = new Router();
  assert.throws(
    () => new Unexported(router).name(),
    /^TypeError: Cannot name service Unexported: .*service\.test\.js\) .*it is not exported; export it; or give it a static serviceName$/,
  );
});

test("Service.onShutdown does nothing by itself", () => {
  assert.equal(new Service(servicePair().master).onShutdown(), undefined);
});
