/**
 * A chain of connections: `bastion-chain.ts [user@]bastion [user@]host … [root] [docker:container]`. Each
 * step starts from the one before: this program needs to reach the first host only. Without arguments it
 * prints what it would connect.
 */

import { hostname, userInfo } from "node:os";
import { type Context, logToFile, type Router, runWithRouter } from "mitogen";

const SAMPLE = ["ada@bastion.example.com", "deploy@docker1", "root", "docker:web"];

/** One hop: what it is called, and how it is made. */
interface Hop {
  readonly title: string;
  connect(router: Router, via: Context | undefined): Promise<Context>;
}

export function whoAmI(): string {
  return `${userInfo().username} on ${hostname()}, Node ${process.version}`;
}

function parseHop(text: string): Hop {
  if (text === "root") {
    return {
      title: "sudo to root",
      connect: (router, via) => router.sudo({ ...(via && { via }) }),
    };
  }
  if (text.startsWith("docker:")) {
    const container = text.slice("docker:".length);
    return {
      title: `docker, container ${container}`,
      connect: (router, via) => router.docker({ container, ...(via && { via }) }),
    };
  }
  const at = text.lastIndexOf("@");
  const hostname = text.slice(at + 1);
  const username = at < 0 ? undefined : text.slice(0, at);
  return {
    title: `ssh to ${hostname}${username === undefined ? "" : ` as ${username}`}`,
    connect: (router, via) => router.ssh({ hostname, username, ...(via && { via }) }),
  };
}

async function main(router: Router, steps: readonly string[]): Promise<void> {
  if (steps.length === 0) {
    console.log("No steps given. With these:");
    console.log(`  ${SAMPLE.join(" ")}`);
    console.log("it would connect:");
    for (const [index, { title }] of SAMPLE.map(parseHop).entries()) {
      console.log(`  ${index + 1}. ${title}${index === 0 ? "" : `, from ${index}`}`);
    }
    return;
  }
  let context: Context | undefined;
  for (const hop of steps.map(parseHop)) {
    context = await hop.connect(router, context);
    console.log(`${hop.title}: ${await context.call(whoAmI)}`);
  }
}

logToFile();
await runWithRouter(main, process.argv.slice(2));
