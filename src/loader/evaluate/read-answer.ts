import type { Message } from "../../core/message.ts";

/** Reads the master's answer: the module's id, or [message, code] if the master refuses to serve the module. */
export function readAnswer(reply: Message): string {
  const answer = reply.decode();
  if (typeof answer === "string") return answer;
  const [reason, code] = answer as [string, string];
  throw Object.assign(new Error(reason), { code });
}
