import type { CoreRouter } from "../core/router.ts";
import { farSideOf } from "./far-side.ts";
import { FileService } from "./file-service.ts";
import { getFile } from "./get-file.ts";
import { PushFileService } from "./push-file-service.ts";
import { putFile } from "./put-file.ts";

/**
 * The exports of `import "mitogen"` for files in a child, and the functions that the other ends of transfers
 * call.
 */
export function filesInChild(router: CoreRouter): Record<string, unknown> {
  return { ...farSideOf(router), getFile, putFile, FileService, PushFileService };
}
