import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { pathToFileURL } from "node:url";
import { transformSync } from "esbuild";
import { Pool } from "../../src/service/pool.ts";
import type { Service } from "../../src/service/service.ts";
import { repoRoot } from "../support/lab.ts";
import { failureOf, servicePair } from "../support/service-pair.ts";

const INDEX = new URL("../../src/index.js", import.meta.url).href;

const SOURCE = `
import { AllowAny, AllowParents, argSpec, expose, noReply, Service, type Message } from "mitogen";

export class Decorated extends Service {
  static override serviceName = "decorated";

  @expose(AllowAny)
  @argSpec({ name: "string" })
  greet({ name }: { name: string }, message: Message): string {
    return "Hello, " + name + " of " + message.srcId;
  }

  @expose(AllowAny)
  @expose(AllowParents)
  parents(): string {
    return "parents";
  }

  @noReply()
  @expose(AllowAny)
  async silent(): Promise<void> {}

  hidden(): void {}
}
`;

for (const kind of ["standard", "legacy"] as const) {
  const experimentalDecorators = kind === "legacy";

  test(`expose, argSpec and noReply are ${kind} decorators, as esbuild compiles them`, async () => {
    const folder = temporaryFolder();
    try {
      const { code } = transformSync(SOURCE.replace('"mitogen"', JSON.stringify(INDEX)), {
        loader: "ts",
        target: "es2022",
        tsconfigRaw: { compilerOptions: { experimentalDecorators } },
      });
      const file = join(folder, "decorated.mjs");
      writeFileSync(file, code);
      const { Decorated } = (await import(pathToFileURL(file).href)) as {
        Decorated: new (router: unknown) => Service;
      };
      const { master, child } = servicePair();
      new Pool(master, [new Decorated(master)]);
      const context = child.contextById(0);
      assert.equal(await context.callService("decorated", "greet", { name: "Ada" }), "Hello, Ada of 1");
      assert.equal((await failureOf(context.callService("decorated", "greet"))).code, "ERR_SERVICE_ARGUMENT");
      assert.equal((await failureOf(context.callService("decorated", "parents"))).code, "ERR_SERVICE_POLICY");
      assert.equal((await failureOf(context.callService("decorated", "hidden"))).code, "ERR_SERVICE_METHOD");
      const silent = context.callServiceAsync("decorated", "silent");
      await context.callService("decorated", "greet", { name: "Grace" });
      assert.equal(silent.size(), 0);
      silent.close();
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  test(`expose, argSpec and noReply have the types of ${kind} decorators`, () => {
    const folder = temporaryFolder();
    try {
      writeFileSync(join(folder, "decorated.ts"), SOURCE);
      const compilerOptions = {
        target: "es2022",
        module: "nodenext",
        moduleDetection: "force",
        types: ["node"],
        strict: true,
        noEmit: true,
        skipLibCheck: true,
        experimentalDecorators,
        paths: { mitogen: [join(repoRoot, "dist/index.d.ts")] },
      };
      writeFileSync(join(folder, "tsconfig.json"), JSON.stringify({ compilerOptions, include: ["."] }));
      const tsc = join(repoRoot, "node_modules/typescript/bin/tsc");
      const { status, stdout } = spawnSync(process.execPath, [tsc, "-p", folder], { encoding: "utf8" });
      assert.equal(status, 0, stdout);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
}

/** Inside the repository, so that node_modules is found. */
function temporaryFolder(): string {
  mkdirSync(join(repoRoot, "build"), { recursive: true });
  return mkdtempSync(join(repoRoot, "build", "decorators-"));
}
