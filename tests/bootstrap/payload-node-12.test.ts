/** The code that travels runs on Node 12. The types that we compile with describe a newer Node. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { brotliDecompressSync, inflateRawSync } from "node:zlib";
import { API_PART } from "../../src/bootstrap/api.generated.ts";
import { EVALUATOR_PART } from "../../src/bootstrap/evaluator.generated.ts";
import { PARENT_ROLE_PART } from "../../src/bootstrap/parent-role.generated.ts";
import { payloadBytes } from "../../src/bootstrap/payload.ts";
import { SHORT_WAY_PART } from "../../src/bootstrap/short-way.generated.ts";

const TOO_NEW =
  /Object\.(?:hasOwn|groupBy)\b|\bstructuredClone\(|\.(?:replaceAll|findLast|findLastIndex|toSorted|toReversed|throwIfAborted)\(|AbortSignal\.(?:any|timeout)\b|Promise\.(?:any|withResolvers)\b|Error\.cause\b|timers\/promises/;

const part = (packed: string): string => inflateRawSync(Buffer.from(packed, "base64")).toString();
const texts: Readonly<Record<string, string>> = {
  payload: brotliDecompressSync(payloadBytes()).toString(),
  "parent role": part(PARENT_ROLE_PART),
  evaluator: part(EVALUATOR_PART),
  api: part(API_PART),
  "short way": part(SHORT_WAY_PART),
};

for (const [name, text] of Object.entries(texts)) {
  test(`the ${name} uses nothing that Node 12 does not have`, () => {
    assert.ok(text.length > 1000);
    const found = TOO_NEW.exec(text);
    assert.equal(found && text.slice(found.index - 60, found.index + 60), null);
  });
}
