import type { Message } from "../../core/message.ts";

/** The parent answers with the module's id, or with why it will not serve it: [message, code]. */
export function readAnswer(reply: Message): string {
  const answer = reply.decode();
  if (typeof answer === "string") return answer;
  const [reason, code] = answer as [string, string];
  throw Object.assign(new Error(reason), { code });
}
