/**
 * `npm run api`: compares the published declarations (dist/) with the API reports in api/, one for each entry point of
 * package.json. With --update it writes the reports. A change of a report is a change of the public API: review it as one.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { Extractor, ExtractorConfig } from "@microsoft/api-extractor";

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));

/** The entry points that have declarations: `.` and `./fleet` become `mitogen` and `mitogen-fleet`. */
export function entryPoints() {
  const { name, exports } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8"));
  return Object.entries(exports)
    .filter(([, { types }]) => types !== undefined)
    .map(([path, { types }]) => ({ name: name + path.slice(1).replaceAll("/", "-"), types }));
}

/**
 * Compares the report of one entry point with what dist/ declares. Returns what is wrong, one line each; an empty list when
 * the report is as it should be.
 */
export function checkReport({ name, types }, update = false) {
  const problems = [];
  const reportTempFolder = mkdtempSync(join(tmpdir(), "mitogen-api-"));
  const config = ExtractorConfig.prepare({
    configObjectFullPath: undefined,
    packageJsonFullPath: join(ROOT, "package.json"),
    configObject: {
      projectFolder: ROOT,
      mainEntryPointFilePath: join(ROOT, types),
      newlineKind: "lf",
      compiler: { overrideTsconfig: COMPILER, skipLibCheck: true },
      apiReport: {
        enabled: true,
        reportFolder: join(ROOT, "api"),
        reportTempFolder,
        reportFileName: name,
        includeForgottenExports: true,
      },
      docModel: { enabled: false },
      dtsRollup: { enabled: false },
      tsdocMetadata: { enabled: false },
      messages: MESSAGES,
    },
  });
  try {
    const result = Extractor.invoke(config, {
      localBuild: update,
      messageCallback(message) {
        message.handled = true;
        // Reported below, in our own words.
        if (message.messageId === "console-api-report-not-copied") return;
        const place =
          message.sourceFilePath === undefined
            ? ""
            : ` (${message.sourceFilePath}:${message.sourceFileLine})`;
        if (message.logLevel === "error" || message.logLevel === "warning")
          problems.push(message.text + place);
      },
    });
    if (result.apiReportChanged && !update) {
      problems.push(
        `api/${name}.api.md differs from what dist/ declares; review the change, then run npm run api -- --update`,
      );
    }
    problems.push(...undocumented(readFileSync(config.reportTempFilePath, "utf8")));
  } finally {
    rmSync(reportTempFolder, { recursive: true });
  }
  return problems;
}

/**
 * The public declarations of a report that have no doc comment. The first of several overloads speaks for all; types that are not
 * exported need none.
 */
export function undocumented(report) {
  const problems = [];
  let container = "";
  let previous = "";
  let isUndocumented = false;
  for (const line of report.split("\n")) {
    if (line.startsWith("//") || /^ +\/\//.test(line)) {
      if (line.endsWith("(undocumented)")) isUndocumented = true;
      continue;
    }
    const name = DECLARATION.exec(line)?.[1];
    if (name === undefined) continue;
    const isMember = line.startsWith(" ");
    if (!isMember) container = name;
    const whole = isMember ? `${container}.${name}` : name;
    if (isUndocumented && whole !== previous && (isMember || line.startsWith("export "))) {
      problems.push(`${whole} has no doc comment`);
    }
    isUndocumented = false;
    previous = whole;
  }
  return problems;
}

/** A declaration's line in a report; its name, or the bracket of a call signature. */
const DECLARATION =
  /^(?:export | {4})?(?:(?:static|abstract|protected|readonly|get|set|class|interface|type|function|const|declare) )*(\[[\w.]+\]|\w+|\()/;

const COMPILER = {
  compilerOptions: {
    target: "es2023",
    lib: ["es2023", "esnext.disposable"],
    module: "nodenext",
    moduleResolution: "nodenext",
    types: ["node"],
    strict: true,
    exactOptionalPropertyTypes: true,
    skipLibCheck: true,
  },
};

/** Comments here are plain Markdown, not TSDoc, so only messages of the compiler and forgotten exports count. */
const MESSAGES = {
  compilerMessageReporting: { default: { logLevel: "error" } },
  extractorMessageReporting: {
    default: { logLevel: "warning" },
    "ae-missing-release-tag": { logLevel: "none" },
    "ae-forgotten-export": { logLevel: "none" },
    "ae-unresolved-link": { logLevel: "none" },
    "ae-undocumented": { logLevel: "none" },
  },
  tsdocMessageReporting: { default: { logLevel: "none" } },
};

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  if (!existsSync(join(ROOT, "dist/index.d.ts")))
    throw new Error("There is no dist/: run npm run build first");
  const update = process.argv.includes("--update");
  for (const entryPoint of entryPoints()) {
    for (const problem of checkReport(entryPoint, update)) {
      console.error(problem);
      process.exitCode = 1;
    }
  }
}
