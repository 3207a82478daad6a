/** The traffic of one link, or of several. */
export interface Traffic {
  readonly bytesSent: number;
  readonly bytesReceived: number;
  readonly messagesSent: number;
  readonly messagesReceived: number;
}

export const NO_TRAFFIC: Traffic = { bytesSent: 0, bytesReceived: 0, messagesSent: 0, messagesReceived: 0 };

export function sumOf(one: Traffic, other: Traffic): Traffic {
  return {
    bytesSent: one.bytesSent + other.bytesSent,
    bytesReceived: one.bytesReceived + other.bytesReceived,
    messagesSent: one.messagesSent + other.messagesSent,
    messagesReceived: one.messagesReceived + other.messagesReceived,
  };
}
