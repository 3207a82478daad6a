import { quoteForSh } from "../../../text/shell-quote.ts";
import { ProvisionFailure, type ProvisionTarget, type RuntimePlan } from "../plan.ts";
import { notTaken } from "./provision-failures.ts";
import { memoryLookScript } from "./target-script.ts";
import { planFor, type TargetTalk } from "./target-talk.ts";

/** The number of memfd_create, for languages that have no name for it. */
const MEMFD_CREATE: Readonly<Record<string, number>> = {
  x64: 319,
  arm64: 279,
  riscv64: 279,
  loong64: 279,
  ppc64: 360,
  s390x: 350,
};

/**
 * Flags of memfd_create: MFD_EXEC, for systems where files in memory cannot be run by default (vm.memfd_noexec). Linux
 * before 6.3 does not know that flag.
 */
const EXECUTABLE = 16;

/**
 * Reads the runtime from descriptor 3 into a file without a name, and executes it, so the runtime is only in the
 * context's memory. Parameters: hash, length, nonce, number of memfd_create, its flags; then the arguments of node.
 */
const PYTHON = String.raw`import os,sys,zlib,hashlib,subprocess
h,n,m,k,x=sys.argv[1:6];n=int(n);x=int(x)
def end(s):
 os.write(4,("\n%s:P e %s\n"%(m," ".join(s.split()))).encode());os._exit(1)
try:
 if hasattr(os,"memfd_create"):
  try:f=os.memfd_create("node",x|1)
  except OSError:f=os.memfd_create("node",1)
 else:
  import ctypes;c=ctypes.CDLL(None).syscall
  f=c(int(k),b"node",x|1)
  if f<0:f=c(int(k),b"node",1)
 if f<0:end("memory memfd_create failed")
 d=zlib.decompressobj(47);s=hashlib.sha256()
 while n:
  b=os.read(3,min(n,65536))
  if not b:os._exit(1)
  n-=len(b)
  while b:
   if d.eof:d=zlib.decompressobj(47)
   v=memoryview(d.decompress(b));s.update(v);b=d.unused_data
   while len(v):v=v[os.write(f,v):]
 if s.hexdigest()!=h:end("sum")
 p="/proc/%d/fd/%d"%(os.getpid(),f)
 r=subprocess.Popen([p,"-v"],stdin=subprocess.DEVNULL,stdout=subprocess.DEVNULL,stderr=subprocess.PIPE)
 o=r.communicate()[1]
 if r.returncode:end("run "+o.decode("utf8","replace")[:200])
 os.write(4,("\n%s:P r memory\n"%m).encode())
 os.execv(p,["node"]+sys.argv[6:])
except Exception as e:end("memory %s"%e)`;

const PERL = String.raw`$^F=255;($h,$n,$m,$k,$x)=splice @ARGV,0,5;
open(I,"<&=",3);open(O,">&=",4);
sub end1{my $s=shift;$s=~s/\s+/ /g;syswrite(O,"\n$m:P e ".substr($s,0,220)."\n");exec "false";exit 1}
$a="node";$f=syscall($k,$a,$x+0);$f<0&&($f=syscall($k,$a,0));$f<0&&end1("memory memfd_create: $!");
open(F,">&=",$f);pipe(R,W);$c=fork;defined $c||end1("memory fork: $!");
if(!$c){close W;open(STDIN,"<&",R);open(STDOUT,">&",F);exec "gzip","-dc";exit 1}
close R;$SIG{PIPE}="IGNORE";
while($n>0){$r=sysread(I,$b,$n<65536?$n:65536);$r||exit 1;$n-=$r;while(length $b){$w=syswrite(W,$b);defined $w||end1("memory gzip ended");substr($b,0,$w)=""}}
close W;waitpid $c,0;$?&&end1("memory gzip failed");
$p="/proc/$$/fd/$f";
if(eval{require Digest::SHA;1}){open(G,"<",$p);$h eq Digest::SHA->new(256)->addfile(*G)->hexdigest||end1("sum");close G}
$o=qx($p -v 2>&1);$?<0&&($o=$!);$?&&end1("run $o");
syswrite(O,"\n$m:P r memory\n");
exec {$p} "node",@ARGV;end1("run $!")`;

/**
 * Gives one target a node that ends with the context: no file is made there. It is sent with every connect. The target
 * needs python3, or perl and gzip, to receive it; otherwise the connect fails.
 */
export async function bringIntoMemory(
  target: ProvisionTarget,
  talk: TargetTalk,
  plans: readonly RuntimePlan[],
): Promise<void> {
  target.bootAfter(false);
  target.command(memoryLookScript(target.nonce));
  const { tools = [], libc = "" } = (await talk.facts()) ?? {};
  const isPython = tools.includes("python3");
  if (!isPython && !(tools.includes("perl") && tools.includes("gzip"))) {
    throw new ProvisionFailure(
      "ERR_PROVISION",
      "the target cannot keep a node in memory: it has neither python3, nor perl and gzip",
      'pass provision: "cache", or install one of them there',
    );
  }
  const plan = planFor(libc, plans);
  const numbers = [MEMFD_CREATE[plan.arch] ?? -1, EXECUTABLE].map(String);
  const words = [plan.hash, String(plan.packedBytes), target.nonce, ...numbers];
  // A line cannot hold line feeds.
  const script = isPython ? `exec(${JSON.stringify(PYTHON)})` : PERL.replace(/\n/g, " ");
  const command = [isPython ? "python3" : "perl", isPython ? "-c" : "-e", script, ...words];
  target.command(`set -- ${command.map(quoteForSh).join(" ")}`);
  const said = await talk.send(plan, true);
  if (said !== "r memory") throw notTaken(said, "memory", plan);
  target.boot();
}
