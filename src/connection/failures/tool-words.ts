import { type ConnectCode, EofError, PasswordError } from "../../errors.ts";
import type { Verdict } from "../prompts/dialogue.ts";

/**
 * A message that a tool prints when it fails: how it is recognised, and what it means. `$1` and `$2` in
 * `says` stand for groups of `words`.
 */
interface Saying {
  readonly words: RegExp;
  readonly code?: ConnectCode;
  readonly type?: Verdict["type"];
  readonly says: string;
  readonly cure: string;
}

/** Messages of ssh itself. Those whose meaning depends on its options are read in ssh.ts. */
const SSH: readonly Saying[] = [
  {
    words: /^ssh: connect to host (\S+) port (\d+): Connection refused/,
    code: "ERR_REFUSED",
    says: "$1 refuses connections on port $2",
    cure: "check whether its sshd runs and listens on that port, or pass another port",
  },
  {
    words: /^ssh: connect to host (\S+) port (\d+): (.+)/,
    code: "ERR_UNREACHABLE",
    says: "$1 cannot be reached on port $2: $3",
    cure: "check hostname and port, and the network, VPN or firewall between the two machines",
  },
  {
    words: /^ssh: Could not resolve hostname (\S+): (.+)/,
    code: "ERR_UNKNOWN_HOST",
    says: "no address of $1 is known: $2",
    cure: "check the spelling of hostname, and whether ssh_config, /etc/hosts or a name server should know it",
  },
  {
    words: /^No user exists for uid (\d+)/,
    code: "ERR_UNKNOWN_USER",
    says: "ssh does not work for user id $1, which has no account on the machine where ssh is started",
    cure: "add the account to /etc/passwd there, or start the program as another user",
  },
  {
    words: /Session open refused by peer/,
    code: "ERR_TOO_MANY_SESSIONS",
    says: "the connection that ssh shares accepts no more sessions",
    cure: 'raise MaxSessions in sshd_config there, or pass sshArgs: ["-o", "ControlPath=none"] to have a connection of its own',
  },
  {
    words: /^channel \d+: open failed: (connect failed: open failed|resource shortage)/,
    code: "ERR_TOO_MANY_SESSIONS",
    says: "the host accepted the login, but opens no session for it",
    cure: "raise MaxSessions in sshd_config there, or end other sessions",
  },
  {
    words: /^Too many logins for (\S+)\./,
    code: "ERR_TOO_MANY_SESSIONS",
    says: "$1 has too many logins there",
    cure: "end some of them, or raise maxlogins in /etc/security/limits.conf there",
  },
  {
    words: /^channel \d+: open failed: connect failed: Connection refused/,
    code: "ERR_REFUSED",
    says: "the jump host reaches the host, which refuses the connection",
    cure: "check whether its sshd runs and listens on that port",
  },
  {
    words: /^channel \d+: open failed: connect failed: (.*(?:not known|resol).*)/,
    code: "ERR_UNKNOWN_HOST",
    says: "the jump host knows no address of the host: $1",
    cure: "check whether the name is known there",
  },
  {
    words: /^channel \d+: open failed: connect failed: (.+)/,
    code: "ERR_UNREACHABLE",
    says: "the jump host cannot reach the host: $1",
    cure: "check the network between the two",
  },
  {
    words: /^channel \d+: open failed: administratively prohibited/,
    code: "ERR_POLICY",
    says: "the host forbids what ssh asked for",
    cure: "check AllowTcpForwarding, PermitOpen and DisableForwarding in its sshd_config, and the options of the key",
  },
  {
    words: /^Received disconnect from (\S+) .*Too many authentication failures/,
    type: PasswordError,
    says: "$1 gave up after too many keys that it does not accept",
    cure: "pass identityFile, so that ssh offers only that key",
  },
  {
    words: /^(Connection timed out during banner exchange|Timeout, server \S+ not responding)/,
    code: "ERR_UNREACHABLE",
    says: "the host no longer answers: $1",
    cure: "check the network, and whether the host is overloaded",
  },
  {
    words: /^Unable to negotiate with (\S+) port \d+: no matching ([^.]*) found/,
    says: "ssh and $1 have no $2 in common",
    cure: "update the older of the two, or allow what it needs in ssh_config",
  },
  {
    words: /^(?:kex|ssh)_exchange_identification: |^Connection (?:closed|reset) by /i,
    code: "ERR_REFUSED",
    says: "the host closes the connection before the login",
    cure: "it has too many logins under way (MaxStartups, PerSourcePenalties), a firewall is in between, or no sshd listens on that port",
  },
  {
    words: /^(Your account has expired.*|System is (?:booting up|going down).*|.*account is locked.*)/i,
    code: "ERR_POLICY",
    says: "the account may not log in: $1",
    cure: "ask the administrator of that machine",
  },
  {
    words: /^This service allows sftp connections only/,
    code: "ERR_COMMAND_FORCED",
    says: "the login allows only file transfers by sftp",
    cure: "remove ForceCommand internal-sftp for this account in sshd_config there",
  },
];

const LOGIN_SHELLS: readonly Saying[] = [
  {
    words: /^This account is currently not available/,
    code: "ERR_NO_SHELL",
    says: "the account has no shell that runs commands (nologin)",
    cure: "give it one there with chsh or usermod --shell, or use another account",
  },
  {
    words: /does not provide shell access|^Interactive git shell|What do you think I am\? A shell\?/i,
    code: "ERR_NO_SHELL",
    says: "the login allows only git: its shell runs no other commands",
    cure: "give the account another shell there, or use another account",
  },
];

const SUDO: readonly Saying[] = [
  {
    words: /^sudo(?:-rs)?: unknown user:? (\S+)/,
    code: "ERR_UNKNOWN_USER",
    says: "there is no user $1",
    cure: "check the spelling of username",
  },
  {
    words: /^(\S+) is not in the sudoers file/,
    code: "ERR_POLICY",
    says: "$1 is not in the sudoers file",
    cure: "add a rule with visudo, or start from another user",
  },
  {
    words: /^Sorry, user (\S+) (?:is not allowed to execute|may not run)/,
    code: "ERR_POLICY",
    says: "sudo does not allow $1 to run this command as that user",
    cure: "sudoers has to allow sh and its arguments: see sudo -l",
  },
  {
    words: /^sudo-rs: I'm sorry (\S+?)\. I'm afraid I can't do that/,
    code: "ERR_POLICY",
    says: "sudo does not allow $1 to run this command as that user",
    cure: "sudoers has to allow sh and its arguments: see sudo -l",
  },
  {
    words:
      /^sudo(?:-rs)?: (.*(?:no new privileges|effective uid is not 0|must be owned by uid 0|account validation|expired).*)/,
    code: "ERR_POLICY",
    says: "sudo does not work here: $1",
    cure: "check how this machine or container is set up",
  },
];

const SU: readonly Saying[] = [
  {
    words: /^su: (?:user |unknown user |unknown login:? |unknown id:? )(\S+)/i,
    code: "ERR_UNKNOWN_USER",
    says: "there is no user $1",
    cure: "check the spelling of username",
  },
  {
    words: /^su: (?:cannot|failed to) execute (\S+?):? /i,
    code: "ERR_NO_SHELL",
    says: "the shell of the account, $1, cannot be run",
    cure: "give the account another one with chsh",
  },
  {
    words: /^su: permission denied/i,
    code: "ERR_POLICY",
    says: "this user may not use su",
    cure: "check /etc/pam.d/su there: often only the group wheel may use su",
  },
];

const DOAS: readonly Saying[] = [
  {
    words: /^doas: unknown user/,
    code: "ERR_UNKNOWN_USER",
    says: "there is no such user",
    cure: "check the spelling of username",
  },
  {
    words: /^doas: (?:Operation not permitted|not enabled)/,
    code: "ERR_POLICY",
    says: "doas.conf does not allow it",
    cure: "add a rule to doas.conf for this user, that user and sh",
  },
];

/** Messages of docker, podman and buildah, and of the runtimes below them. */
const CONTAINERS: readonly Saying[] = [
  {
    words:
      /(?:no such (?:container|object):? |no container with name or ID |reading build container )"?([^\s"]+)/i,
    code: "ERR_UNKNOWN_CONTAINER",
    says: "there is no container $1",
    cure: "check the name in the list of containers (ps --all) of this user and this engine",
  },
  {
    words: /container "?(\S+?)"? is (?:not running|paused|restarting)|container state improper/i,
    code: "ERR_UNKNOWN_CONTAINER",
    says: "the container is not running",
    cure: "start it first",
  },
  {
    words: /Unable to find image '(\S+)' locally/,
    code: "ERR_UNKNOWN_CONTAINER",
    says: "there is no image $1 here",
    cure: "check its spelling, or pull it first",
  },
  {
    words: /^Error: (\S+): image not known/,
    code: "ERR_UNKNOWN_CONTAINER",
    says: "there is no image $1",
    cure: "check its spelling, or pull it first",
  },
  {
    words: /pull access denied for ([^\s,]+)/,
    code: "ERR_UNKNOWN_CONTAINER",
    says: "there is no image $1",
    cure: "check its spelling, or log in to its registry",
  },
  {
    words: /unable to find user (\S+): /,
    code: "ERR_UNKNOWN_USER",
    says: "there is no user $1 in the container",
    cure: "check /etc/passwd there, or pass a numeric username",
  },
  {
    words: /exec: "?sh"?: executable file not found/,
    code: "ERR_NO_SHELL",
    says: "there is no sh in the container",
    cure: "use an image with a shell: those called distroless or scratch have none",
  },
  {
    words: /permission denied while trying to connect to the docker/i,
    code: "ERR_POLICY",
    says: "this user may not use the docker daemon",
    cure: "connect as root, or as a user of the group docker",
  },
  {
    words: /Cannot connect to the Docker daemon at ([^\s]+)|unable to connect to Podman/i,
    code: "ERR_REFUSED",
    says: "the daemon does not answer",
    cure: "check whether it runs, and DOCKER_HOST",
  },
];

const KUBECTL: readonly Saying[] = [
  {
    words: /\(NotFound\): (\S+ "\S+") not found/,
    code: "ERR_UNKNOWN_CONTAINER",
    says: "there is no $1",
    cure: 'check its name, and pass the namespace: kubectlArgs: ["--namespace", …]',
  },
  {
    words: /container not found \("([^"\s]+)"\)/,
    code: "ERR_UNKNOWN_CONTAINER",
    says: "the pod has no running container $1",
    cure: "run kubectl describe pod",
  },
  {
    words: /^Error from server \(BadRequest\): container (\S+) is not valid for pod/,
    code: "ERR_UNKNOWN_CONTAINER",
    says: "the pod has no container $1",
    cure: "run kubectl describe pod",
  },
  {
    words: /\(Forbidden\)|must be logged in to the server|\(Unauthorized\)/,
    code: "ERR_POLICY",
    says: "the cluster does not allow this user to do that",
    cure: "run kubectl auth can-i create pods/exec",
  },
  {
    words: /The connection to the server (\S+) was refused/,
    code: "ERR_REFUSED",
    says: "the cluster's server $1 refuses connections",
    cure: "check whether it runs, and run kubectl config view",
  },
  {
    words: /dial tcp: lookup ([^\s:]+):?(?: on \S+)? no such host/,
    code: "ERR_UNKNOWN_HOST",
    says: "no address of the cluster's server $1 is known",
    cure: "run kubectl config view",
  },
  {
    words: /dial tcp (\S+): (?:i\/o timeout|connect: no route to host|connect: network is unreachable)/,
    code: "ERR_UNREACHABLE",
    says: "the cluster's server $1 cannot be reached",
    cure: "check the network in between, and run kubectl config view",
  },
  {
    words: /exec: "?sh"?: executable file not found|failed to execute sh: No such file/,
    code: "ERR_NO_SHELL",
    says: "there is no sh in the container",
    cure: "use an image with a shell: those called distroless or scratch have none",
  },
];

const LXC: readonly Saying[] = [
  {
    words: /^lxc-attach: (\S+): .*Failed to get init pid/,
    code: "ERR_UNKNOWN_CONTAINER",
    says: "no container $1 runs here",
    cure: "run lxc-ls --fancy, as the user who owns the container",
  },
  {
    words: /Failed to exec "sh"/,
    code: "ERR_NO_SHELL",
    says: "there is no sh in the container",
    cure: "install one there",
  },
];

const LXD: readonly Saying[] = [
  {
    words: /^Error: .*(?:Instance not found|Instance is not running|not found)/i,
    code: "ERR_UNKNOWN_CONTAINER",
    says: "no such instance runs",
    cure: "check the tool's list of instances, the remote and the project",
  },
  {
    words: /^Error: Command not found/,
    code: "ERR_NO_SHELL",
    says: "there is no sh in the instance",
    cure: "install one there",
  },
];

const SETNS: readonly Saying[] = [
  {
    words: /^mitogen: no user (\S+) in the container/,
    code: "ERR_UNKNOWN_USER",
    says: "there is no user $1 in the container",
    cure: "check /etc/passwd there",
  },
  {
    words: /^mitogen: the container has no process|No machine '(\S+)' known|doesn't exist/,
    code: "ERR_UNKNOWN_CONTAINER",
    says: "no such container runs",
    cure: "check the name, and whether it has been started",
  },
];

const JAIL: readonly Saying[] = [
  {
    words: /^jexec: jail "(\S+)" not found/,
    code: "ERR_UNKNOWN_CONTAINER",
    says: "no jail $1 runs",
    cure: "run jls",
  },
  {
    words: /^jexec: (\S+): no such user/,
    code: "ERR_UNKNOWN_USER",
    says: "there is no user $1",
    cure: "check the spelling of username",
  },
];

/** The messages of each method, by its name. */
const SAYINGS: Readonly<Record<string, readonly Saying[]>> = {
  ssh: [...SSH, ...LOGIN_SHELLS],
  sudo: [...SUDO, ...LOGIN_SHELLS],
  su: [...SU, ...LOGIN_SHELLS],
  doas: DOAS,
  docker: CONTAINERS,
  podman: CONTAINERS,
  buildah: CONTAINERS,
  kubectl: KUBECTL,
  lxc: LXC,
  lxd: LXD,
  incus: LXD,
  setns: [...SETNS, ...LXC, ...LXD, ...CONTAINERS],
  jail: JAIL,
};

/** Explains the first line that is known. Returns undefined if no line is. */
export function readWords(method: string, lines: readonly string[]): Verdict | undefined {
  const sayings = Object.entries(SAYINGS).find(([name]) => name === method)?.[1] ?? [];
  for (const line of lines) {
    for (const { words, code, type = EofError, says, cure } of sayings) {
      const match = words.exec(line);
      if (match === null) continue;
      const message = says.replace(/\$(\d)/g, (_, group) => match[Number(group)] ?? "");
      return { type, code, message, hint: cure };
    }
  }
  return undefined;
}
