/**
 * Two siblings count to thirty: each sends the number after the one it received. They have exchanged Senders, so the
 * code of this program does not handle the numbers. The program only starts the game and reads the score.
 */

import { econtext, Receiver, type Router, runWithRouter, type Sender } from "mitogen";

let table: Receiver<number> | undefined;

/** Makes this player's receiver, and returns the Sender for the other player. */
export function takePlace(): Sender<number> {
  table = new Receiver<number>(econtext().router);
  return table.toSender();
}

/** Plays until `last` was sent, and returns the numbers that this player sent. With `first`, this player begins with that number. */
export async function play(opponent: Sender<number>, last: number, first?: number): Promise<number[]> {
  if (table === undefined) throw new Error("takePlace() comes first");
  const said: number[] = [];
  const say = async (number: number): Promise<void> => {
    said.push(number);
    await opponent.send(number);
  };
  if (first !== undefined) await say(first);
  for await (const message of table) {
    const heard = message.decode();
    if (heard < last) await say(heard + 1);
    if (heard + 1 >= last) break;
  }
  table.close();
  return said;
}

async function main(router: Router): Promise<void> {
  const [ping, pong] = await Promise.all([
    router.local({ remoteName: "ping" }),
    router.local({ remoteName: "pong" }),
  ]);
  const [pingEnd, pongEnd] = await Promise.all([ping.call(takePlace), pong.call(takePlace)]);
  const [odd, even] = await Promise.all([ping.call(play, pongEnd, 30, 1), pong.call(play, pingEnd, 30)]);
  console.log(`ping: ${odd.join(" ")}`);
  console.log(`pong: ${even.join(" ")}`);
}

await runWithRouter(main);
