// The lab's sshd, for the rows that need one.
let up;

/**
 * The part of `.lab/lab.json` about ssh, and `account`, with one list of options for ssh itself and one for
 * `router.ssh`.
 */
export async function labSsh() {
  up ??= import("../scripts/lab.mjs").then(({ labUp }) => labUp({ methods: false }));
  const { ssh } = await up;
  const account = ssh.users.find(({ name }) => name === "mitogen-dash");
  return {
    ...ssh,
    account,
    args: ["-F", ssh.config],
    options: {
      hostname: ssh.host,
      port: ssh.port,
      username: account.name,
      identityFile: ssh.identityFile,
      sshArgs: ["-F", ssh.config],
    },
  };
}
