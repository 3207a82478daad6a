/** The types of results that arrive as plain data: src/wire/values/plain-form.ts. */

/** The common members of `fs.Stats`, `fs.BigIntStats` and `fs.Dirent`. */
export interface FileLike {
  /** As in `fs.Stats`. */
  isFile(): boolean;
  /** As in `fs.Stats`. */
  isDirectory(): boolean;
  /** As in `fs.Stats`. */
  isSymbolicLink(): boolean;
  /** As in `fs.Stats`. */
  isFIFO(): boolean;
}

/**
 * A `Stats` or a `Dirent` as it arrives: its data, and the results of its methods. `isFile`, `isDirectory`
 * and the others are `true` or `false`. (`path` of old Dirents is called `parentPath`.)
 *
 * ```ts
 * const entries: FileData<Dirent>[] = await context.call(fs.promises.readdir, "/srv", { withFileTypes: true });
 * console.log(entries.filter((entry) => entry.isDirectory));
 * ```
 */
export type FileData<T extends FileLike> = {
  [K in keyof T as Exclude<K, "path">]: T[K] extends () => boolean ? boolean : T[K];
};

/** A result as it arrives. */
export type Arrived<T> = 0 extends 1 & T
  ? T
  : T extends FileLike
    ? FileData<T>
    : T extends readonly FileLike[]
      ? { [K in keyof T]: T[K] extends FileLike ? FileData<T[K]> : T[K] }
      : T;

type Files = FileLike | readonly FileLike[] | null | undefined;

/** A function that returns such objects, by one of its signatures at least. */
export type FileFunction = (...args: never[]) => Files | Promise<Files>;
