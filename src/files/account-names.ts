import { promises as fs } from "node:fs";

/** The names of a file's owner and group on this machine. Null for an id without a name. */
export async function accountNames(
  uid: number,
  gid: number,
): Promise<{ owner: string | null; group: string | null }> {
  const [owner, group] = await Promise.all([nameIn("/etc/passwd", uid), nameIn("/etc/group", gid)]);
  return { owner, group };
}

/** Both files have lines of `name:password:id:…`. */
async function nameIn(path: string, id: number): Promise<string | null> {
  const text = await fs.readFile(path, "utf8").catch(() => "");
  for (const line of text.split("\n")) {
    const [name, , number] = line.split(":");
    if (number === String(id)) return name ?? null;
  }
  return null;
}
