import type { ModuleFormat } from "../module-record.ts";
import { sourceText } from "./source-text.ts";

/**
 * Parses a `data:` URL as Node does: base64 or percent-encoded, up to the fragment. Throws Node's own error
 * unless the type is that of a module.
 */
export function parseDataUrl(url: string): { format: ModuleFormat; text: string } {
  const [, type, parameters = "", body] =
    /^data:([^/,]+\/[^;,]+)((?:;[^,]*)?),([^#]*)/i.exec(url) ?? ([] as undefined[]);
  const format = formatOf(type);
  if (format === undefined || body === undefined) {
    const shown = url.length > 100 ? `${url.slice(0, 100)}…` : url;
    throw Object.assign(new RangeError(`Unknown module format: ${type ?? null} for URL ${shown}`), {
      code: "ERR_UNKNOWN_MODULE_FORMAT",
    });
  }
  const decoded = decodeURIComponent(body);
  const isBase64 = /;base64$/i.test(parameters);
  return { format, text: sourceText(isBase64 ? Buffer.from(decoded, "base64").toString() : decoded) };
}

function formatOf(type: string | undefined): ModuleFormat | undefined {
  if (type === "application/json") return "json";
  return type !== undefined && /^\s*(?:text|application)\/javascript\s*$/i.test(type) ? "module" : undefined;
}
