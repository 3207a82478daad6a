"""
Runs a command under a security module of the kernel (Landlock), which lets the command and its children run programs
only from some folders. Arguments: the folders, `--`, the command. A refusal looks like one of SELinux or AppArmor:
EACCES.
"""
import ctypes
import os
import struct
import sys

CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446
ACCESS_EXECUTE = 1
RULE_PATH_BENEATH = 1
PR_SET_NO_NEW_PRIVS = 38

libc = ctypes.CDLL(None, use_errno=True)


def system_call(*words):
    result = libc.syscall(*words)
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


end = sys.argv.index("--")
handled = ctypes.create_string_buffer(struct.pack("=Q", ACCESS_EXECUTE), 8)
rules = system_call(CREATE_RULESET, handled, 8, 0)
for folder in sys.argv[1:end]:
    descriptor = os.open(folder, os.O_PATH)
    beneath = ctypes.create_string_buffer(struct.pack("=Qi", ACCESS_EXECUTE, descriptor), 12)
    system_call(ADD_RULE, rules, RULE_PATH_BENEATH, beneath, 0)
    os.close(descriptor)
libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
system_call(RESTRICT_SELF, rules, 0)
os.close(rules)
os.execvp(sys.argv[end + 1], sys.argv[end + 1 :])
