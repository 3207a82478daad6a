import assert from "node:assert/strict";
import { test } from "node:test";
import {
  esbuildVersion,
  isOld,
  knowsAttributes,
  versionClass,
} from "../../../src/loader/compile/target-version.ts";

test("versionClass is the same for versions that get the same text", () => {
  const classes: [version: string, expected: string][] = [
    ["12.22.0", "12.22"],
    ["12.22.12", "12.22"],
    ["14.8.0", "14.8"],
    ["14.21.3", "14.20"],
    ["16.20.2", "16.20"],
    ["18.19.1", "18.16"],
    ["18.20.8", "18.20+attributes"],
    ["20.9.0", "20"],
    ["20.10.0", "20+attributes"],
    ["v22.3.1", "20+attributes"],
    ["26.0.0-nightly", "20+attributes"],
  ];
  for (const [version, expected] of classes) assert.equal(versionClass(version), expected, version);
  assert.deepEqual([isOld("18.20.8"), isOld("20.0.0")], [true, false]);
  assert.deepEqual([knowsAttributes("18.19.0"), knowsAttributes("18.20.0")], [false, true]);
});

test("versionClass has few classes, whatever version a context claims", () => {
  const classes = new Set<string>();
  for (let major = 0; major < 60; major++) {
    for (let minor = 0; minor < 200; minor++) classes.add(versionClass(`${major}.${minor}.${minor}`));
  }
  for (const version of [
    "",
    "x",
    "12",
    "12.x",
    "1e3.5",
    "-1.0",
    "99999999.1.1",
    "18.1e9.0",
    "9".repeat(59),
    "NaN.NaN",
  ])
    classes.add(versionClass(version));
  assert.ok(classes.size <= 35, [...classes].join(" "));
});

test("esbuildVersion takes a version that is too old, or invalid, for the oldest that can be a context", () => {
  for (const version of ["", "10.0.0", "12.5.0", "nonsense"]) assert.equal(esbuildVersion(version), "12.22");
});
